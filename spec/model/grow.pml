/* Growing: one key without an entry, whose homes differ between placements. README.md says what is assumed, and which
 * macros leave a rule out.
 *
 * The home in placement 1 is shard 0, in placement 2 shard 1, in placement 3 (if PLACEMENTS is 3) THIRD_HOME: 0 when
 * weights are changed and changed back. CALLERS insert and read, as often as they like, each in the placement that it
 * has read; MOVES movers, one recoverer, and one program that adds the placements and retires the old ones. */
#ifndef SHARDS
#define SHARDS 2
#endif
#ifndef MOVES
#define MOVES 1
#endif
#ifndef PLACEMENTS
#define PLACEMENTS 2
#endif
#ifndef THIRD_HOME
#define THIRD_HOME 0
#endif

#define NO_ENTRIES /* what is moved to its home gets no entry in the directory */
#include "shard.pml"

byte oldest = 1; /* placement that is not retired */
byte newest = 1;
byte holders[4]; /* of the lock on a placement */
bit up[SHARDS];  /* the fence's triggers are there */
byte busy;       /* movers, recoverers and calls under way */

#define HOME(n) (n == 1 -> 0 : (n == 2 -> 1 : THIRD_HOME))
#define DIFFER(o, n) (o != n) /* placements that follow each other have other homes */
#define LIVES(i) (s[i].rows != ABSENT || s[i].state == ACTIVE || s[i].state == SENDING)
#define GONE(i) (s[i].state == SENT || s[i].state == TOMB || s[i].state == RECEIVING)

/* --- callers ------------------------------------------------------------------------------------- */

#define DONE 0
#define NOTHING 1
#define REFUSED 2

inline statement() {
  if
  :: insert && up[at] && FENCED(at) -> answer = REFUSED
  :: insert && !(up[at] && FENCED(at)) && s[at].rows != ABSENT -> answer = DONE /* refused: the key exists */
  :: insert && !(up[at] && FENCED(at)) && s[at].rows == ABSENT ->
    assert(!truth); /* one key inserted twice */
    write(at, CURRENT); answer = DONE
  :: !insert && s[at].rows != ABSENT -> answer = DONE
  :: !insert && s[at].rows == ABSENT -> answer = NOTHING
  fi;
  check_copies()
}

#define RESET at = 0; n = 0; o = 0; answer = 0; hops = 0; told = 0; insert = 0; known = 0; busy--

/* A call that ends, or whose process does, gives the lock on its placement back. */
proctype Caller() {
  byte at, n, o, answer, hops, m;
  bit told, insert, known;

end:
  if
  :: d_step { insert = true; known = truth; busy++ }
  :: d_step { truth -> known = true; busy++ } /* a read before the insert says nothing */
  fi;
look_up:
  /* That there is no entry, and the placement, in one statement; the lock is taken, and then both were still so. */
  if
  :: d_step {
      n = newest; o = oldest; holders[n]++;
      at = (DIFFER(o, n) -> HOME(o) : HOME(n));
      told = !DIFFER(o, n)
    }
  fi;
  if
  :: d_step { told -> told = false } goto ask
  :: !told /* `at` is the decider */
  fi;
  /* One look at rows and own row. */
  if
  :: d_step { LIVES(at) && !GONE(at) -> told = false } goto ask
  :: GONE(at) -> goto follow
  :: d_step { !LIVES(at) && !GONE(at) && (!insert || HOME(n) == HOME(o)) -> at = HOME(n) } goto ask
#ifdef NO_FORWARD
  :: d_step { !LIVES(at) && !GONE(at) && insert && HOME(n) != HOME(o) -> at = HOME(n) } goto ask
#else
  :: !LIVES(at) && !GONE(at) && insert && HOME(n) != HOME(o)
#endif
  fi;
  if
#ifdef UNCONDITIONAL
  :: d_step { s[at].state = TOMB; s[at].peer = HOME(n); at = HOME(n) }
#else
  :: d_step {
      s[at].state == NONE && s[at].rows == ABSENT -> s[at].state = TOMB; s[at].peer = HOME(n); at = HOME(n)
    }
  :: d_step { s[at].state != NONE || s[at].rows != ABSENT -> holders[n]-- } goto look_up
#endif
  :: d_step { holders[n]--; RESET } goto end /* dies */
  fi;
ask:
  if
  :: d_step { statement() }
  :: d_step { holders[n]--; RESET } goto end /* dies */
  fi;
  if
  :: d_step { answer == DONE -> holders[n]--; RESET } goto end
  :: d_step { answer == NOTHING && s[at].state == NONE -> assert(!known); holders[n]--; RESET } goto end
  :: d_step { answer == NOTHING && s[at].state != NONE -> answer = 0 }
  :: d_step { answer == REFUSED -> answer = 0 }
  fi;
follow:
  do
  :: d_step {
      hops == 2 * SHARDS || (s[at].state == NONE && !told) -> hops = 0; told = false; holders[n]--
    } goto look_up
  :: hops < 2 * SHARDS && (s[at].state == NONE && told || s[at].state == ACTIVE || s[at].state == SENDING) -> break
  :: d_step {
      hops < 2 * SHARDS && (s[at].state == TOMB || s[at].state == RECEIVING) ->
      at = s[at].peer; told = true; hops++
    }
  :: d_step { hops < 2 * SHARDS && s[at].state == SENT -> m = s[at].move; at = s[at].peer; told = true; hops++ }
    if
    :: d_step { activate(at, m); m = 0; check_copies() }
    fi
  od;
  /* A look at the own row and the statement, in one transaction. */
  if
  :: d_step {
      if
      :: !GONE(at) -> statement()
      :: else -> answer = REFUSED
      fi;
      hops = 0; told = false
    }
  :: d_step { holders[n]--; RESET } goto end /* dies */
  fi;
  if
  :: d_step { answer == DONE -> holders[n]--; RESET } goto end
  :: d_step { answer == NOTHING -> assert(!known); holders[n]--; RESET } goto end
  :: d_step { answer == REFUSED -> holders[n]--; RESET } goto end /* MOVING */
  :: d_step { answer == REFUSED -> answer = 0 } goto follow
  fi
}

/* --- moving what is not at its newest home ---------------------------------------------------------------- */

/* The key is here, or a forwarding row leads here though it has no rows yet, and its home is elsewhere. */
#ifdef SCAN_ROWS_ONLY
#define LED(i) false
#else
#define LED(i) (s[0].state == TOMB && s[0].peer == i || s[1].state == TOMB && s[1].peer == i)
#endif
#define MOVABLE(i) (HOME(newest) != i && !GONE(i) && (s[i].rows != ABSENT || LED(i)))

inline begin_move(i) {
  newest > oldest && MOVABLE(i) -> from = i; n = newest; to = HOME(newest); holders[n]++; numbers++; m = numbers; busy++
}

#define LEAVE holders[n]--; n = 0; from = 0; to = 0; m = 0; ok = 0; undone = 0; busy--

proctype Mover() {
  byte from, to, m, n;
  bit ok, undone;

  if
  :: d_step { begin_move(0) }
  :: d_step { begin_move(1) }
  fi;
  if
  :: d_step { receive(from, to, m, ok); up[to] = up[to] || ok }
  :: d_step { LEAVE } goto end
  fi;
  if
  :: d_step { !ok -> LEAVE } goto end
  :: d_step { ok -> send(from, to, m, ok); up[from] = true }
  :: d_step { ok -> LEAVE } goto end
  fi;
  if
  :: !ok -> goto back
  :: d_step { ok -> buffer[m] = (s[from].move == m -> s[from].rows : ABSENT) }
  :: d_step { ok -> LEAVE } goto end
  fi;
  d_step { stage(to, m, buffer[m], ok); buffer[m] = ABSENT }
  if
  :: !ok -> goto back
  :: d_step { ok -> commit(from, m, ok); check_copies() }
  :: d_step { ok -> LEAVE } goto end
  fi;
  if
  :: !ok -> goto back
  :: ok -> finish(from, to, m); goto done
  :: d_step { ok -> LEAVE } goto end
  fi;
back:
  undo(from, to, m);
done:
  if
  :: d_step { LEAVE }
  fi;
end:
  skip
}

inline pick(i) {
  OPEN(i) ->
  m = s[i].move; at = i; peer = s[i].peer; sent = s[i].state == SENT; busy++;
  if
  :: s[i].state == RECEIVING -> at = s[i].peer; peer = i
  :: else
  fi
}

proctype Recoverer() {
  byte at, peer, m;
  bit sent, ok, undone;

end:
  if
  :: d_step { pick(0) }
  :: d_step { pick(1) }
#if SHARDS > 2
  :: d_step { pick(2) }
#endif
  fi;
  if
  :: !sent -> undo(at, peer, m)
  :: sent
  fi;
  if
  :: d_step { undone -> ok = 0 }
  :: !undone -> finish(at, peer, m)
  fi;
  if
  :: d_step { at = 0; peer = 0; m = 0; sent = 0; ok = 0; undone = 0; busy-- } goto end
  fi
}

/* --- adding and retiring placements -------------------------------------------------------------------------- */

/* What the last scan looks for on each shard: rows to move, a move that is not over, a row that leads
 * to a shard which is not the newest home, and has not sent the key on. */
#define MISPLACED(i) (HOME(newest) != i && s[i].rows != ABSENT)
#ifdef SCAN_ROWS_ONLY
#define LEADS(i) false
#else
#define LEADS(i) (s[i].state == TOMB && s[i].peer != HOME(newest) && s[s[i].peer].state != TOMB)
#endif

#ifdef NO_LOCK
#define OTHERS_GONE true
#elif PLACEMENTS == 2
#define OTHERS_GONE (holders[1] == 0)
#else
#define OTHERS_GONE (holders[1] == 0 && holders[2] == 0)
#endif

proctype Grower() {
  byte i;

#ifdef FENCE_LATE
  newest = 2;
  up[0] = true;
#else
  up[0] = true;
  newest = 2;
#endif
#if PLACEMENTS == 3
  up[1] = true;
  newest = 3;
#endif
end:
  OTHERS_GONE;
  do
  :: i == SHARDS -> break
  :: i < SHARDS && (OPEN(i) || MISPLACED(i) || LEADS(i)) -> i = 0
  :: i < SHARDS && !(OPEN(i) || MISPLACED(i) || LEADS(i)) -> i++
  od;
  oldest = newest
}

/* forward_retention later own rows go: nothing is at work any more that was begun before. While an old placement is
 * not retired, none goes. */
#ifdef FORGET_WHILE_RETIRING
#define MAY_FORGET (newest == PLACEMENTS)
#else
#define MAY_FORGET (oldest == PLACEMENTS)
#endif

proctype Janitor() {
end:
  d_step {
    MAY_FORGET && busy == 0 && !OPEN(0) && !OPEN(1) && (s[0].state != NONE || s[1].state != NONE) ->
    clear(0); clear(1)
#if SHARDS > 2
    ; clear(2)
#endif
  }
}

/* --- all together ------------------------------------------------------------------------------------------------- */

/* Where a program that comes now finds the key, into x. */
inline resolve_settled() {
  x = (DIFFER(oldest, newest) -> HOME(oldest) : HOME(newest));
  if
  :: DIFFER(oldest, newest) && s[x].rows == ABSENT && s[x].state == NONE -> x = HOME(newest)
  :: else
  fi;
  follow_settled()
}

init {
  atomic {
#ifdef EXISTING
    s[0].rows = CURRENT; truth = true;
#endif
    run Caller();
    run Caller();
#if CALLERS > 2
    run Caller();
#endif
    run Mover();
#if MOVES > 1
    run Mover();
#endif
    run Recoverer();
    run Grower();
    run Janitor();
  }
end:
  do
  :: d_step {
      keep(); settle(); check_settled();
      resolve_settled();
      assert(s[x].rows == truth); /* not found */
      restore()
    }
  od
}
