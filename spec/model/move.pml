/* Moving one key between shards while programs write it: lua/collegedb/workflows/move.lua, recovery.lua, moved.lua and
 * forward.lua. What is assumed, and what leaves a rule out: README.md.
 *
 * MOVES movers: to shard 1, to SECOND, to THIRD. SHARDS, WRITERS, RECOVERERS: how many. JANITOR: own rows are forgotten. */
#ifndef SHARDS
#define SHARDS 2
#endif
#ifndef MOVES
#define MOVES 1
#endif
#ifndef WRITERS
#define WRITERS 1
#endif
#ifndef RECOVERERS
#define RECOVERERS 1
#endif

#include "shard.pml"

#define UNKNOWN SHARDS
byte cached[WRITERS]; /* where each writer believes the key to be */
bit excused[WRITERS]; /* there was a moment in its call when the key had no rows */
byte busy;            /* movers, recoverers and calls under way */

/* --- movers and recoverers --------------------------------------------------------------------------- */

proctype Mover(byte to) {
  byte from, m;
  bit ok, undone;

  d_step { from = entry; busy++ }
  if
  :: d_step { from == to -> from = 0; busy-- } goto end
  :: d_step { from != to -> numbers++; m = numbers }
  fi;
  d_step { receive(from, to, m, ok) }
  if
  :: d_step { !ok -> from = 0; m = 0; busy-- } goto end
  :: d_step { ok -> send(from, to, m, ok) }
  fi;
  if
  :: !ok -> goto back
  :: d_step { ok -> buffer[m] = (s[from].move == m -> s[from].rows : ABSENT) }
  fi;
  d_step { stage(to, m, buffer[m], ok); buffer[m] = ABSENT }
  if
  :: !ok -> goto back
  :: d_step { ok -> commit(from, m, ok); check_copies() }
  fi;
  if
  :: !ok -> goto back
  :: ok -> finish(from, to, m); goto done
  fi;
back:
  undo(from, to, m);
done:
  if
  :: d_step { from = 0; m = 0; ok = 0; undone = 0; busy-- }
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

/* Takes any mover for dead at any time, and works on what it has read as if it were still so. */
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

/* --- writers ---------------------------------------------------------------------------------------- */

#define UPDATE 0
#define UPSERT 1
#define DELETE 2
#define READ 3

#define DONE 0
#define NOTHING 1
#define REFUSED 2

#ifdef NO_TARGET_FENCE
#define STOPS(i) (FENCED(i) && s[i].state != RECEIVING)
#else
#define STOPS(i) FENCED(i)
#endif

/* One statement on one shard. The triggers of UPDATE and DELETE fire for rows only. What is written is written where
 * the key is, on top of all that was acknowledged. */
inline statement() {
  if
  :: op == UPSERT && STOPS(at) -> answer = REFUSED
  :: op == UPSERT && !STOPS(at) ->
    assert(s[at].rows == truth); /* written elsewhere */
    write(at, CURRENT); answer = DONE
  :: op != UPSERT && s[at].rows == ABSENT -> answer = NOTHING
  :: op == READ && s[at].rows != ABSENT -> answer = DONE
  :: op != UPSERT && op != READ && s[at].rows != ABSENT && STOPS(at) -> answer = REFUSED
  :: op == UPDATE && s[at].rows != ABSENT && !STOPS(at) ->
    assert(s[at].rows == CURRENT); /* written elsewhere */
    write(at, CURRENT); answer = DONE
  :: op == DELETE && s[at].rows != ABSENT && !STOPS(at) ->
    assert(s[at].rows == CURRENT); /* written elsewhere */
    write(at, ABSENT);
    x = 0;
    do
    :: x < WRITERS -> excused[x] = true; x++
    :: else -> break
    od;
    answer = DONE
  fi;
  check_copies()
}

inline begin_call() { excused[me] = !truth; busy++ }
inline end_call() { at = 0; op = 0; answer = 0; hops = 0; told = 0; excused[me] = 0; busy-- }

proctype Writer(byte me) {
  byte at, op, answer, m, hops;
  bit told;

end:
  if
  :: d_step { cached[me] != UNKNOWN -> at = cached[me]; begin_call() }
  :: d_step { cached[me] != entry -> at = entry; cached[me] = entry; begin_call() }
  fi;
  if
  :: d_step { op = UPDATE; statement() }
  :: d_step { op = UPSERT; statement() }
  :: d_step { op = DELETE; statement() }
  :: d_step { op = READ; statement() }
  fi;
  if
  :: d_step { answer == DONE -> end_call() } goto end
  /* Nothing: so it is, unless the shard says something of the key. */
  :: d_step { answer == NOTHING && s[at].state == NONE -> assert(excused[me]); end_call() } goto end
  :: d_step { answer == NOTHING && s[at].state != NONE -> answer = 0 }
  :: d_step { answer == REFUSED -> answer = 0 }
  fi;
follow:
  do
  :: d_step { hops == 2 * SHARDS -> told = false } goto route
  :: d_step { hops < 2 * SHARDS && s[at].state == NONE && !told -> told = false } goto route
  :: d_step { hops < 2 * SHARDS && s[at].state == NONE && told -> cached[me] = at } goto there
  :: d_step { hops < 2 * SHARDS && (s[at].state == ACTIVE || s[at].state == SENDING) -> cached[me] = at } goto there
  :: d_step {
      hops < 2 * SHARDS && (s[at].state == TOMB || s[at].state == RECEIVING) ->
      at = s[at].peer; told = true; hops++
    }
  :: d_step { hops < 2 * SHARDS && s[at].state == SENT -> m = s[at].move; at = s[at].peer; told = true; hops++ }
    if
    :: d_step { activate(at, m); m = 0; check_copies() }
    fi
  od;
route:
  if
  :: d_step { at = entry; cached[me] = at }
  fi;
there: /* a look at the own row and the statement, in one transaction */
  if
  :: d_step {
      if
      :: s[at].state == NONE || s[at].state == ACTIVE || s[at].state == SENDING ->
        statement();
        assert(answer != DONE || op != READ || s[at].rows == truth) /* a read of the past */
      :: else -> answer = REFUSED
      fi;
      hops = 0; told = false
    }
  fi;
  if
  :: d_step { answer == DONE -> end_call() } goto end
  :: d_step { answer == NOTHING -> assert(excused[me]); end_call() } goto end
  :: d_step { answer == REFUSED -> end_call() } goto end /* MOVING: its patience is over */
  :: d_step { answer == REFUSED -> answer = 0 } goto follow
  fi
}

/* --- forgetting ------------------------------------------------------------------------------------------ */

inline forget_all() {
  x = 0;
  do
  :: x < SHARDS -> clear(x); x++
  :: else -> break
  od;
  x = 0;
  do
  :: x < WRITERS -> cached[x] = UNKNOWN; x++
  :: else -> break
  od;
  x = 0
}

/* forward_retention after it was last touched an own row goes: when recovery has run, nothing is at work that
 * was begun before, and no cache has what it had. */
proctype Janitor() {
end:
  do
#ifdef FORGET_EARLY
  :: d_step { s[0].state == TOMB || s[0].state == ACTIVE -> clear(0) }
  :: d_step { s[1].state == TOMB || s[1].state == ACTIVE -> clear(1) }
#else
  :: d_step { busy == 0 && (s[0].state == TOMB || s[1].state == TOMB) && !OPEN(0) && !OPEN(1) -> forget_all() }
#endif
  od
}

/* --- all together ------------------------------------------------------------------------------------------- */

init {
  atomic {
    s[0].rows = CURRENT; truth = true; entry = 0;
    run Mover(1);
#if MOVES > 1
    run Mover(SECOND);
#endif
#if MOVES > 2
    run Mover(THIRD);
#endif
    run Writer(0);
#if WRITERS > 1
    run Writer(1);
#endif
    run Recoverer();
#if RECOVERERS > 1
    run Recoverer();
#endif
#ifdef JANITOR
    run Janitor();
#endif
  }
  /* At any moment: if all die here, and one recovers, all is well. */
end:
  do
  :: d_step {
      keep(); settle(); check_settled();
      x = entry; follow_settled();
      assert(s[x].rows == truth); /* not found from the directory's entry */
      restore()
    }
  od
}
