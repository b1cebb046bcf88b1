/* Leased runs. The daemon grants a client two runs of the arena, in order; the client takes them from the front, writes
   an object into each and posts it. The daemon takes back what was not taken, from the end, when it needs room. The
   client dies at any step. Posts travel in order (ring.pml is about that).

   Always holds: a run is free, leased, or of one object. Nobody but its lessee writes into a run, and only while it is
   leased. A posted object has its bytes. When the client has gone each run is free, or of an object.

   Defects, each of which the check must find: 1: the daemon takes a run back by a look and a store. 2: the daemon
   forgets a lease without a look whether the client took the run. 3: the daemon frees what a dead client leases before
   it carries out its posts.

   Where each step stands; tests/models/check finds these lines in the sources:
   (a) store/write_leases.cc: client.page->grants[put_class][place].store(*offset + 1, std::memory_order_release);
   (b) client/plasma/leased_writer.cc: const uint64_t run = grant.exchange(0, std::memory_order_acq_rel);
   (c) client/plasma/leased_writer.cc: std::memcpy(base_ + run.offset, object.data.data(), object.data.size());
   (d) client/plasma/leased_writer.cc: if (Commit(PutPostType::kPut, BytesOf(record), {}, post)) return true;
   (e) store/put_posts.cc: const auto run = leases_->Take(client_, slot, InArena(data_bytes, metadata_bytes));
   (f) store/write_leases.cc: if (run == 0 || client.page->grants[put_class][place].exchange(0, std::memory_order_acq_rel) != run) break;
   (g) store/put_rings.cc: static_cast<void>(CarryOutNow(ring, kPostsMax,
   (h) store/put_rings.cc: leases_.RemoveClient(client); */
#ifndef DEFECT
#define DEFECT 0
#endif
#define RUNS 2
#define PLACES 2
#define NONE 9

mtype = { kFree, kLeased, kObject, kOther };
mtype state[RUNS] = kFree;   /* as the arena has it */
byte bytes_of[RUNS];         /* 0: nobody's; 1: a client's whole object; 2: half of it; 3: another's */
byte grants[PLACES] = NONE;  /* the page: a run, or none */
byte runs[PLACES] = NONE;    /* the daemon's own notes */
byte next_grant, leased;     /* of the daemon */
bool writes[RUNS];           /* the client writes there */
bool dead;
chan posts = [2] of { byte, byte }; /* place, run */

#define FREE_RUN (state[0] == kFree || state[1] == kFree)

proctype Client() {
  byte place, run_, tries;
  {
  do
  :: tries == 3 -> break
  :: else ->
    tries++;
    atomic { /* (b) */
      if
      :: grants[place] != NONE -> run_ = grants[place]; grants[place] = NONE
      :: else -> goto next /* it sends a message instead */
      fi
    };
    writes[run_] = true;
    bytes_of[run_] = 2; /* (c) */
    bytes_of[run_] = 1;
    writes[run_] = false;
    posts ! place, run_; /* (d) */
    place = (place + 1) % PLACES;
next:
    skip
  od;
  dead = true
  } unless { dead }
}

/* kill -9 at any step. Its stores end with it. */
proctype Killer() { if :: dead = true :: true fi }

inline Allocate(r) {
  if :: state[0] == kFree -> r = 0 :: else -> r = 1 fi
}

inline TopUp() { /* (a) */
  do
  :: leased < PLACES && runs[next_grant] == NONE && FREE_RUN ->
    atomic {
      Allocate(r);
      assert(!writes[r] || dead);
      state[r] = kLeased;
      runs[next_grant] = r;
      leased++
    };
    grants[next_grant] = r;
    next_grant = (next_grant + 1) % PLACES
  :: else -> break
  od
}

inline CarryOut() {
  posts ? p, r;
  assert(runs[p] == r && state[r] == kLeased); /* (e): otherwise the daemon would end the client */
  atomic { grants[p] = NONE; runs[p] = NONE; leased-- };
  assert(bytes_of[r] == 1);
  state[r] = kObject
}

active proctype Daemon() {
  byte p, r, steps;
  bool removed;
  TopUp();
  atomic { run Client(); run Killer() };
  do
  :: removed -> break
  :: !removed && len(posts) > 0 -> CarryOut(); TopUp()
  /* Another client's create needs room: takes a run back, and gives it to that one for a while. */
  :: !removed && steps < 2 && leased > 0 ->
    steps++;
    p = (next_grant + PLACES - 1) % PLACES;
    r = runs[p];
    if
    :: r == NONE -> goto kept
    :: else
    fi;
#if DEFECT == 1
    if :: grants[p] != r -> goto kept :: else fi;
    grants[p] = NONE;
#elif DEFECT == 2
    grants[p] = NONE;
#else
    atomic { if :: grants[p] == r -> grants[p] = NONE :: else -> goto kept fi }; /* (f) */
#endif
    atomic { next_grant = p; runs[p] = NONE; leased--; state[r] = kOther };
    assert(!writes[r]);
    bytes_of[r] = 3;
    assert(bytes_of[r] == 3);
    state[r] = kFree;
kept:
    TopUp()
  :: !removed && dead -> /* (g, h): its socket has closed */
#if DEFECT != 3
    do :: len(posts) > 0 -> CarryOut() :: else -> break od;
#endif
    p = 0;
    do
    :: p == PLACES -> break
    :: else ->
      if
      :: runs[p] != NONE -> r = runs[p]; assert(state[r] == kLeased); runs[p] = NONE; leased--; state[r] = kFree
      :: else
      fi;
      p++
    od;
    removed = true
  /* An object is deleted. */
  :: !removed && steps < 3 && state[0] == kObject -> steps++; state[0] = kFree; bytes_of[0] = 0
  od;
  assert(leased == 0);
  assert(state[0] == kFree || (state[0] == kObject && bytes_of[0] == 1));
  assert(state[1] == kFree || (state[1] == kObject && bytes_of[1] == 1));
  assert(empty(posts))
}
