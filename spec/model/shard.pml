/* What shards say of one key, and the steps that change it: included by move.pml and grow.pml.
 *
 * Each inline is what ONE transaction in ONE database does; callers wrap it in d_step. The names are those of
 * lua/collegedb/workflows/move.lua and recovery.lua. Rows have no values: a copy of the key's group is CURRENT or STALE,
 * and every write makes its own copy current and all others stale. So any number of writes are a few states. */

#define ABSENT 0 /* no row */
#define CURRENT 1
#define STALE 2

#define NONE 0 /* no own row */
#define ACTIVE 1
#define SENDING 2
#define SENT 3
#define TOMB 4
#define RECEIVING 5

#define NOWHERE 7

typedef Shard {
  byte state;          /* of the own row … */
  byte move;
  byte floor;
  byte peer = NOWHERE;
  byte before = NOWHERE;
  byte rows;           /* of the group, in the tables … */
  byte staged;         /* … and in the stage */
}

Shard s[SHARDS];
byte entry = NOWHERE; /* the directory's entry of the key */
byte version;
byte numbers;         /* of moves: the directory's counter */
byte buffer[MOVES + 1]; /* what movers have read */
bit truth;            /* the key has rows, by all that was acknowledged */

/* For looking ahead, without a trace in the state: what s and the entry are. */
hidden Shard kept[SHARDS];
hidden byte kept_entry;
hidden byte kept_version;
hidden byte x;
hidden byte y;
hidden byte number;
hidden byte round;
hidden byte ok1;
hidden byte ok2;
hidden byte ok3;

#define OPEN(i) (s[i].state == SENDING || s[i].state == SENT || s[i].state == RECEIVING)
#define FENCED(i) (s[i].state != NONE && s[i].state != ACTIVE)
/* Rows that a reader or writer would take for the key's. */
#define LIVE(i) (s[i].rows != ABSENT && (s[i].state == NONE || s[i].state == ACTIVE || s[i].state == SENDING))

inline clear(i) {
  s[i].state = NONE; s[i].move = 0; s[i].floor = 0; s[i].peer = NOWHERE; s[i].before = NOWHERE
}

inline raise(i, m) { s[i].floor = (s[i].floor < m -> m : s[i].floor) }

/* --- a move ------------------------------------------------------------------------- */

inline receive(from, to, m, ok) {
  ok = s[to].rows == ABSENT && (s[to].state == NONE || (s[to].state == TOMB && s[to].floor < m));
  if
  :: ok ->
    s[to].before = (s[to].state == TOMB -> s[to].peer : NOWHERE);
    s[to].state = RECEIVING; s[to].move = m; s[to].peer = from
  :: else
  fi
}

inline send(from, to, m, ok) {
  ok = s[from].state == NONE || (s[from].state == ACTIVE && s[from].floor < m);
  if
  :: ok -> s[from].state = SENDING; s[from].move = m; s[from].peer = to
  :: else
  fi
}

/* Reading the source and filling the stage are one transaction in the code; as two steps they can do more. */
inline stage(to, m, copied, ok) {
  ok = s[to].state == RECEIVING && s[to].move == m;
  if
  :: ok -> s[to].staged = copied
  :: else
  fi
}

inline commit(from, m, ok) {
  ok = s[from].state == SENDING && s[from].move == m;
  if
  :: ok -> s[from].state = SENT; raise(from, m)
  :: else
  fi
}

/* The staged rows could not go in where rows are already. */
inline activate(to, m) {
  if
  :: s[to].state == RECEIVING && s[to].move == m && s[to].rows == ABSENT ->
    s[to].state = ACTIVE; s[to].floor = m; s[to].peer = NOWHERE; s[to].before = NOWHERE;
    s[to].rows = s[to].staged; s[to].staged = ABSENT
  :: else
  fi
}

inline publish(to, m) {
  if
#ifdef NO_ENTRIES
  :: false
#else
  :: version < m -> entry = to; version = m
#endif
  :: else
  fi
}

inline clean(from, m) {
  if
  :: s[from].state == SENT && s[from].move == m -> s[from].state = TOMB; s[from].rows = ABSENT
  :: else
  fi
}

/* --- taking a move back ------------------------------------------------------------------- */

/* `seen`: the target was receiving it before. From here on the move can not be committed, if it is `decided`: its
 * source is not sending it, and will not, because the floor forbids it. What is on its way by another move keeps its
 * floor, by which others tell whether it has arrived: then it is decided when that move is over. */
inline undo_source(from, m, seen, undone, decided) {
  if
  :: s[from].state == SENDING && s[from].move == m ->
    s[from].state = ACTIVE; s[from].peer = NOWHERE; raise(from, m)
  :: else
  fi;
  if
  :: seen && s[from].state == NONE -> s[from].state = ACTIVE; s[from].move = m; s[from].floor = m
  :: seen && (s[from].state == ACTIVE || s[from].state == TOMB) -> raise(from, m)
  :: else
  fi;
  undone = !(s[from].move == m && (s[from].state == SENT || s[from].state == TOMB));
  decided = seen && s[from].floor >= m
}

inline undo_target(to, m) {
  if
  :: s[to].state == RECEIVING && s[to].move == m ->
    s[to].staged = ABSENT;
#ifdef UNDO_BY_FLOOR
    if
    :: s[to].floor == 0 -> clear(to)
#else
    if
    :: s[to].before == NOWHERE -> clear(to)
#endif
    :: else -> s[to].state = TOMB; s[to].peer = s[to].before; s[to].before = NOWHERE
    fi
  :: else
  fi
}

/* --- writing -------------------------------------------------------------------------------- */

inline make_stale(copy) { copy = (copy == CURRENT -> STALE : copy) }

/* The copy in shard `at` is written, or deleted: all others are of the past. */
inline write(at, what) {
  x = 0;
  do
  :: x < SHARDS -> make_stale(s[x].rows); make_stale(s[x].staged); x++
  :: else -> break
  od;
  x = 1;
  do
  :: x <= MOVES -> make_stale(buffer[x]); x++
  :: else -> break
  od;
  s[at].rows = what; truth = (what == CURRENT)
}

inline check_copies() {
  x = 0; y = 0;
  do
  :: x < SHARDS -> y = y + LIVE(x); x++
  :: else -> break
  od;
  assert(y <= 1) /* two live copies */
}

/* What a mover does of its own accord, or a recoverer for it. Both have `ok` and `undone`. */
inline undo(from, to, m) {
#ifdef STALE_RECOVERY
  d_step { undo_source(from, m, false, undone, ok) }
  if
  :: d_step { undone -> ok = s[to].move == m }
    d_step {
      if
      :: ok && (s[from].state == ACTIVE || s[from].state == NONE) -> undo_source(from, m, true, undone, ok)
      :: else
      fi;
      undone = true
    }
    if
    :: d_step { undo_target(to, m) }
    fi
  :: !undone
  fi
#else
  d_step { ok = s[to].move == m && s[to].state == RECEIVING }
  d_step { undo_source(from, m, ok, undone, ok) }
  if
  :: d_step { undone && ok -> undo_target(to, m) }
  :: d_step { !undone || !ok -> ok = 0 }
  fi
#endif
}

inline finish(from, to, m) {
#ifdef CLEAN_UNASKED
  d_step { clean(from, m); check_copies() }
#else
  d_step { activate(to, m); check_copies() }
  d_step { publish(to, m) }
  d_step { ok = s[to].floor >= m && s[to].state != NONE }
  if
  :: d_step { ok -> clean(from, m); check_copies() }
  :: d_step { !ok -> ok = 0 }
  fi
#endif
}

/* --- what if all programs died now?  --------------------------------------------------------------- */

inline keep() {
  x = 0;
  do
  :: x < SHARDS -> kept[x].state = s[x].state; kept[x].move = s[x].move; kept[x].floor = s[x].floor; kept[x].peer = s[x].peer;
    kept[x].before = s[x].before; kept[x].rows = s[x].rows; kept[x].staged = s[x].staged; x++
  :: else -> break
  od;
  kept_entry = entry; kept_version = version
}

inline restore() {
  x = 0;
  do
  :: x < SHARDS -> s[x].state = kept[x].state; s[x].move = kept[x].move; s[x].floor = kept[x].floor; s[x].peer = kept[x].peer;
    s[x].before = kept[x].before; s[x].rows = kept[x].rows; s[x].staged = kept[x].staged; x++
  :: else -> break
  od;
  entry = kept_entry; version = kept_version
}

/* Recovery, alone, until nothing is left. */
inline settle() {
  round = 0;
  do
  :: round < 3 * SHARDS ->
    x = round % SHARDS; y = s[x].peer; number = s[x].move;
    if
    :: s[x].state == SENT ->
      activate(y, number);
      publish(y, number);
      if
      :: s[y].floor >= s[x].move -> clean(x, number)
      :: else
      fi
    :: s[x].state == SENDING -> undo_source(x, number, false, ok1, ok2)
    :: s[x].state == RECEIVING ->
      undo_source(y, number, true, ok1, ok2);
      if
      :: ok1 && ok2 -> undo_target(x, number)
      :: else /* committed, which the source's turn finishes */
      fi
    :: else
    fi;
    round++
  :: else -> break
  od
}

/* Exactly one owner, with all that was acknowledged; nothing half done. */
inline check_settled() {
  x = 0; y = 0;
  do
  :: x < SHARDS ->
    assert(!OPEN(x));                                         /* left half done by recovery */
    assert(s[x].rows == ABSENT || s[x].rows == CURRENT);      /* a write was lost */
    y = y + (s[x].rows != ABSENT); x++
  :: else -> break
  od;
  assert(y == truth) /* 0 or 2 owners */
}

/* From `x` where the own rows lead. */
inline follow_settled() {
  y = 0;
  do
  :: y < 2 * SHARDS && s[x].state == TOMB -> x = s[x].peer; y++
  :: else -> break
  od
}
