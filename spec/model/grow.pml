/* Growing: one key without an entry, whose homes differ between placements. README.md says what is assumed, and which
 * macros leave a rule out.
 *
 * The home in placement 1 is shard 0, in placement 2 shard 1, in placements 3 and 4 (PLACEMENTS: how many) THIRD_HOME and
 * FOURTH_HOME: 0 and 1 when weights are changed and changed back. CALLERS insert and read (lua/collegedb/router.lua,
 * forward.lua, moved.lua), as often as they like, each in the placement that it
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
byte holders[PLACEMENTS + 1]; /* of the lock on a placement */
bit up[SHARDS];  /* the fence's triggers are there */
bit reviving;    /* a transaction on the directory, around it */
byte busy;       /* movers, recoverers and calls under way */

#ifndef FOURTH_HOME
#define FOURTH_HOME 1
#endif
#define HOME(n) (n == 1 -> 0 : (n == 2 -> 1 : (n == 3 -> THIRD_HOME : FOURTH_HOME)))
#define DIFFER(o, n) (o != n) /* placements that follow each other have other homes */
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

#define LIMIT (2 * SHARDS)

/* The key is sent on from a shard that has no rows of it; the fence goes up with that. */
#define MAY_GO(i) ((s[i].state == NONE || s[i].state == ACTIVE) && s[i].rows == ABSENT)

inline go(i, to) {
  s[i].state = TOMB; s[i].peer = to;
#ifndef FENCE_LATE
  up[i] = true
#endif
}

inline enter() {
  if
  :: n > 0 -> holders[n]--
  :: else
  fi;
  n = newest; o = oldest; holders[n]++; told = false; hops = 0; index = 0
}

#ifdef REVIVE_START
#define ON_CIRCLE(i) (y == LIMIT)
#else
#define ON_CIRCLE(i) (x == i)
#endif

/* Does the way from i come back to it? Into ok1. */
inline look_void(i) {
  x = i; y = 0; ok1 = false;
  do
  :: y < LIMIT && !ok1 && GONE(x) -> x = s[x].peer; y++; ok1 = ON_CIRCLE(i)
  :: else -> break
  od;
  x = 0; y = 0
}

#define RESET at = 0; index = 0; n = 0; o = 0; hops = 0; told = 0; insert = 0; phase = 0; answer = 0; busy--
#define LEAVE_CALL holders[n]--; RESET
#define STAYS(i) (s[i].state == NONE || s[i].state == ACTIVE || s[i].state == SENDING)

/* What a call is at: the router's look, the same after a refusal (moved.place), place's own look, and the one after it
 * has sent the key back. */
#define FIRST 0
#define ANEW 1
#define PLACE 2
#define SENT_BACK 3
#define START (phase < PLACE -> HOME(o) : index)

#ifdef NO_RETURN
#define SENDS_BACK false
#else
#define SENDS_BACK true
#endif

/* A call that ends, or whose process does, gives the lock on its placement back. What is local is one step with the
 * look before it. */
proctype Caller() {
  byte at, index, n, o, hops, m, phase, answer;
  bit told, insert;

end:
  if
  :: d_step { insert = true; busy++ }
  :: d_step { truth -> busy++ } /* a read before the insert says nothing */
  fi;
look_up:
  /* That there is no entry, and the placement, in one statement; the lock is taken, and then both were still so. */
  atomic {
    if
    :: d_step { oldest == newest -> enter(); at = HOME(n); o = 0 } goto routed
    :: d_step { oldest != newest -> enter(); at = HOME(o) } goto follow /* the decider */
    fi
  };
follow:
  atomic {
    if
    :: d_step { STAYS(at) -> told = told || s[at].state != NONE; hops = 0 } goto decide
    :: d_step {
        s[at].state == TOMB || s[at].state == RECEIVING ->
        at = s[at].peer; told = true; hops++
      } goto on
    :: d_step { s[at].state == SENT -> m = s[at].move; at = s[at].peer; told = true; hops++ }
    fi
  };
  atomic { activate(at, m); m = 0; check_copies(); goto on };
on:
  atomic {
    if
    :: hops == LIMIT || at == START -> hops = 0; told = false; goto circle
    :: hops < LIMIT && at != START -> goto follow
    fi
  };
decide:
  atomic {
    if
    :: phase >= PLACE ->
      if
      :: SENDS_BACK && phase == PLACE && insert && told && at != index -> goto back
#ifndef WHEREVER_SENT
      :: phase == SENT_BACK && at != index -> at = index; goto there /* refused there: again */
      :: else -> goto there
#else
      :: phase == SENT_BACK || !(SENDS_BACK && insert && told && at != index) -> goto there
#endif
      fi
    :: phase < PLACE && !told -> goto look
    :: phase < PLACE && told ->
      told = false;
      if
      :: SENDS_BACK && insert && at != HOME(n) -> goto ahead /* without rows it goes home */
      :: else -> goto routed
      fi
    fi
  };
circle:
  atomic {
    if
    :: phase < PLACE && !insert -> at = HOME(n); goto routed /* nothing is anywhere */
#ifdef REVIVE_START
    :: phase >= PLACE || insert -> at = START; goto revive
#else
    :: phase >= PLACE || insert -> goto revive
#endif
    fi
  };
revive: /* in a transaction on that shard of the circle, inside one on the directory */
  atomic {
    if
#ifdef REVIVE_UNLOCKED
    :: d_step { look_void(at); told = ok1 && s[at].state == TOMB }
#else
    :: d_step { !reviving -> look_void(at); told = ok1 && s[at].state == TOMB; reviving = told }
#endif
    fi;
    if
    :: told
    :: !told && phase < PLACE -> goto look_up
    :: !told && phase >= PLACE -> at = index; goto there
    fi
  };
  atomic {
    if
    :: d_step { s[at].state == TOMB -> s[at].state = ACTIVE; told = false; reviving = false }
    :: d_step { s[at].state != TOMB -> told = false; reviving = false }
    fi;
    if
    :: phase < PLACE -> goto look_up
    :: phase >= PLACE -> at = index; goto there
    fi
  };
back: /* from `at` to where the router looks for it; then the way is gone once more */
  atomic {
    if
    :: s[at].rows != ABSENT -> goto there
    :: s[at].rows == ABSENT
    fi
  };
  atomic {
    if
    :: d_step { MAY_GO(at) -> go(at, index) }
    :: !MAY_GO(at)
    fi;
    at = index; told = false; phase = SENT_BACK; goto follow
  };
look: /* The decider, `at`, has no own row: rows there? */
  atomic {
    if
    :: s[at].rows != ABSENT -> goto routed
    :: s[at].rows == ABSENT && (!insert || HOME(n) == at) -> goto confirm
#ifdef NO_FORWARD
    :: d_step { s[at].rows == ABSENT && insert && HOME(n) != at -> at = HOME(n) } goto routed
#else
    :: s[at].rows == ABSENT && insert && HOME(n) != at -> goto sends
#endif
    fi
  };
confirm: /* It may have left between the two looks. */
  atomic {
    if
    :: d_step { s[at].state == NONE -> at = HOME(n) } goto routed
    :: s[at].state != NONE -> goto look_up
    fi
  };
ahead: /* Its way led to `at`: rows there? */
  atomic {
    if
    :: s[at].rows != ABSENT -> goto routed
    :: s[at].rows == ABSENT -> goto sends
    fi
  };
sends:
  atomic {
    if
#ifdef UNCONDITIONAL
    :: d_step { go(at, HOME(n)); at = HOME(n) } goto routed
#else
    :: d_step { MAY_GO(at) -> go(at, HOME(n)); at = HOME(n) } goto routed
    :: !MAY_GO(at) -> goto look_up
#endif
    :: d_step { LEAVE_CALL } goto end /* dies */
    fi
  };
routed:
  atomic {
    if
    :: phase == ANEW -> o = 0; index = at; told = false; phase = PLACE; goto follow
    :: phase == FIRST -> o = 0
    fi
  };
  atomic {
    if
    :: d_step { statement() }
    :: d_step { LEAVE_CALL } goto end /* dies, or its row breaks a constraint */
    fi;
    if
    :: answer == DONE -> LEAVE_CALL; goto end
    :: answer == NOTHING && s[at].state == NONE -> assert(false) /* the key has rows */
    :: answer == REFUSED || answer == NOTHING && s[at].state != NONE -> goto anew
    fi
  };
there: /* a look at the own row and the statement, in one transaction */
  atomic {
    if
    :: d_step {
        told = false; index = 0;
        if
        :: !GONE(at) -> statement()
        :: else -> answer = REFUSED
        fi
      }
    :: d_step { LEAVE_CALL } goto end /* dies */
    fi;
    if
    :: answer == DONE -> LEAVE_CALL; goto end
    :: answer == NOTHING -> assert(false) /* the key has rows */
    :: answer == REFUSED -> LEAVE_CALL; goto end /* MOVING */
    :: answer == REFUSED -> goto anew
    fi
  };
anew:
  atomic { answer = 0; at = 0; phase = ANEW; goto look_up }
}

/* --- moving what is not at its newest home ---------------------------------------------------------------- */

#define MOVABLE(i) (HOME(newest) != i && !GONE(i) && s[i].rows != ABSENT)

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

/* What the last look is for on each shard: rows to move, and a move that is not over. */
#define LEFT(i) (OPEN(i) || HOME(newest) != i && s[i].rows != ABSENT)

#ifdef NO_LOCK
#define OTHERS_GONE true
#elif PLACEMENTS == 2
#define OTHERS_GONE (holders[1] == 0)
#elif PLACEMENTS == 3
#define OTHERS_GONE (holders[1] == 0 && holders[2] == 0)
#else
#define OTHERS_GONE (holders[1] == 0 && holders[2] == 0 && holders[3] == 0)
#endif

proctype Grower() {
  byte i;

#ifdef FENCE_LATE
  newest = 2;
  up[0] = true;
#else
  newest = 2;
#endif
#if PLACEMENTS > 2
  newest = 3;
#endif
#if PLACEMENTS > 3
  newest = 4;
#endif
end:
  OTHERS_GONE;
  do
  :: i == SHARDS -> break
  :: i < SHARDS && LEFT(i) -> i = 0
  :: i < SHARDS && !LEFT(i) -> i++
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
#if MOVES > 0
    run Mover();
#endif
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
