/* An object's life: created, sealed, read, evicted and deleted, while the client that writes, the client that reads and
   the server die at any step, the server at any store to shared memory. The next server goes on with that memory. The
   writer makes two objects, one after the other, in an arena that holds one. So the second create evicts the first.
   Shared memory is sequentially consistent here; pins.pml is about the order of stores. A look for an id is one step;
   RecoveryTest is about the walk along a chain.

   Always holds: the bytes of an object stay while somebody holds a view of it. Nobody writes into another object's
   memory. An object that the store has called sealed is found until it is evicted. When all have gone, nothing is
   taken.

   Defects, each of which the check must find: 1: an eviction frees an object without another look at the pins. 2: the
   next server takes a dying object for none. 3: the store calls an object sealed before it is. 4: the next server
   leaves out a client's unsealed object that the client pins.

   Where each step stands; tests/models/check finds these lines in the sources:
   (a) store/object_index.cc: Change(entry, EntryState::kUnsealed, std::memory_order_release);
   (b) store/object_index.cc: chains_.Link(entry, IndexHash(id));
   (c) store/object_index.cc: Change(entry, EntryState::kSealed, std::memory_order_seq_cst);
   (d) store/object_index.cc: chains_.Unlink(entry, IndexHash(IdOf(entry)));
   (e) store/object_index.cc: Change(entry, EntryState::kDying, std::memory_order_seq_cst);
   (f) store/object_table.cc: if (state != EntryState::kSealed && !pins.Pinned(entry)) {
   (g) store/object_index.cc: Change(entry, EntryState::kEmpty, std::memory_order_release);
   (h) store/object_table.cc: arena.Free(object.offset);
   (i) store/object_index.cc: Change(entry, state == EntryState::kUnsealed ? EntryState::kEmpty : EntryState::kDying,
   (j) store/recovery.cc: auto places = PlacesOfAll();
   (k) store/recovery.cc: while (!client->unsealed.empty()) store_.table_.Lose(client->unsealed.first());
   (l) client/plasma/store_session.cc: const auto slot = session.pins_.Pin(found->entry);
   (m) client/plasma/store_session.cc: if (!session.index_.StillThere(*found)) [[unlikely]] {
   (n) client/plasma/store_session.cc: writer.slot_ = reservation.Pin(found->entry);
   (o) client/plasma/object_writer.cc: auto again = WriteAgain(*session);
   (p) client/plasma/store_session.cc: if (!session.index_.StillThere(*found)) session.Unpin(std::exchange(writer.slot_, kNoSlot)); */
#ifndef DEFECT
#define DEFECT 0
#endif
#define ENTRIES 2
#ifndef GETS
#define GETS 1
#endif
#define NONE 9

mtype = { kEmpty, kUnsealed, kSealed, kDying };        /* of an entry */
mtype = { kCreate, kSeal, kAbort, kNothing };          /* a request */
mtype = { kOk, kFull, kNotFound, kThere, kNoAnswer };  /* an answer */

/* Shared memory, which outlives the server. */
mtype state[ENTRIES] = kEmpty;
byte generation[ENTRIES];
byte id[ENTRIES];
bool linked[ENTRIES];
byte pin_w = NONE, pin_r = NONE; /* an entry, or none */
byte bytes_of;                   /* the arena has room for one object: the number of the one whose bytes it has */

bool taken;                      /* the arena, as the server has it */

byte number[ENTRIES];            /* ghost: of the object that the entry is for */
byte numbers;
byte acked = NONE;               /* ghost: the id that the store has called sealed, until it begins to evict it */
byte view = 0;                   /* ghost: the object that the reader holds */

mtype request = kNothing, answer = kNoAnswer;
byte request_id;
byte epoch;                      /* of the server */
bool kill_server;
bool writer_gone, reader_gone, writer_heard, over;

#define PINNED(e) (pin_w == e || pin_r == e)

inline Change(e, to) { atomic { state[e] = to; generation[e]++ } }

/* unsealed or dying -> empty */
inline Free(e) {
  if :: linked[e] -> linked[e] = false :: else fi; /* (d) */
  Change(e, kEmpty); /* (g) */
  atomic { assert(view == 0 || view != number[e]); taken = false } /* (h) */
}

inline Kill(e) {
  atomic { if :: id[e] == acked -> acked = NONE :: else fi };
  linked[e] = false; /* (d) */
  Change(e, kDying) /* (e), a full fence */
}

inline Sweep() {
  i = 0;
  do
  :: atomic { i == ENTRIES -> i = 0; break }
  :: atomic { i < ENTRIES && (state[i] != kDying || PINNED(i)) -> i++ }
  :: i < ENTRIES && state[i] == kDying && !PINNED(i) -> Free(i); i++ /* (f) */
  od
}

inline Find(wanted) { /* f: the entry, or NONE */
  atomic {
    f = NONE;
    if
    :: linked[0] && id[0] == wanted -> f = 0
    :: else -> if :: linked[1] && id[1] == wanted -> f = 1 :: else fi
    fi
  }
}

inline Answer(what) { atomic { answer = what; request = kNothing; request_id = 0; f = 0 } }

inline Create() {
  Find(request_id);
  if
  :: f != NONE -> Answer(kThere)
  :: else ->
    if
    :: taken ->
      /* Evicts the one object there is, if nobody pins it. */
      i = 0;
      do
      :: atomic { i == ENTRIES -> i = 0; break }
      :: atomic { i < ENTRIES && (state[i] != kSealed || PINNED(i)) -> i++ }
      :: i < ENTRIES && state[i] == kSealed && !PINNED(i) ->
        Kill(i);
#if DEFECT == 1
        Free(i);
#endif
        i++
      od;
      Sweep()
    :: else
    fi;
    if
    :: taken -> Answer(kFull)
    :: else ->
      taken = true;
      if :: state[0] == kEmpty -> f = 0 :: else -> assert(state[1] == kEmpty); f = 1 fi;
      atomic { id[f] = request_id; numbers++; number[f] = numbers };
      Change(f, kUnsealed); /* (a) */
      linked[f] = true; /* (b) */
      Answer(kOk)
    fi
  fi
}

inline Seal() {
  Find(request_id);
  if
  :: f == NONE -> Answer(kNotFound)
  :: f != NONE && state[f] == kSealed -> Answer(kThere)
  :: else ->
#if DEFECT == 3
    atomic { acked = request_id; Answer(kOk) };
    Change(f, kSealed)
#else
    Change(f, kSealed); /* (c) */
    atomic { acked = request_id; Answer(kOk) }
#endif
  fi
}

inline Abort() {
  Find(request_id);
  if
  :: f == NONE -> Answer(kNotFound)
  :: f != NONE && state[f] == kSealed -> Answer(kThere)
  :: else -> Free(f); Answer(kOk)
  fi
}

inline LoseUnsealed() { /* (k) */
  i = 0;
  do
  :: atomic { i == ENTRIES -> i = 0; break }
  :: atomic { i < ENTRIES && state[i] != kUnsealed -> i++ }
  :: i < ENTRIES && state[i] == kUnsealed -> linked[i] = false; Change(i, kDying); i++
  od;
  Sweep()
}

#if DEFECT == 2
#define MAY_STAY(e) (state[e] != kDying)
#elif DEFECT == 4
#define MAY_STAY(e) (state[e] != kUnsealed)
#else
#define MAY_STAY(e) true
#endif

inline Recover() {
  i = 0;
  do
  :: atomic { i == ENTRIES -> i = 0; break }
  :: i < ENTRIES -> /* (i) */
    if
    :: state[i] == kUnsealed && !linked[i] -> Change(i, kEmpty)
    :: state[i] == kSealed && !linked[i] -> Change(i, kDying)
    :: else ->
      if
      :: !MAY_STAY(i) -> linked[i] = false; Change(i, kEmpty)
      :: else
      fi
    fi;
    i++
  od;
  taken = (state[0] != kEmpty || state[1] != kEmpty); /* (j) */
  LoseUnsealed()
}

active proctype Server() {
  byte i, f;
  bool again;
start:
  {
    if :: again -> Recover() :: else fi;
    do
    :: request == kCreate -> Create()
    :: request == kSeal -> Seal()
    :: request == kAbort -> Abort()
    :: request == kNothing && writer_gone && !writer_heard -> pin_w = NONE; LoseUnsealed(); writer_heard = true
    :: reader_gone && pin_r != NONE -> atomic { view = 0; pin_r = NONE }
    :: (state[0] == kDying && !PINNED(0)) || (state[1] == kDying && !PINNED(1)) -> Sweep()
    /* Both clients have gone: all is evicted. */
    :: writer_heard && reader_gone && pin_r == NONE && state[0] == kSealed -> Kill(0)
    :: writer_heard && reader_gone && pin_r == NONE && state[1] == kSealed -> Kill(1)
    :: writer_heard && reader_gone && pin_r == NONE && state[0] == kEmpty && state[1] == kEmpty -> break
    od;
    assert(!taken);
    over = true
  } unless {
    atomic {
      kill_server -> kill_server = false; request = kNothing; epoch++; again = true; writer_heard = false;
      goto start
    }
  }
}

active proctype ServerKiller() {
  kill_server = true
}

/* Asks until a server answers: `a`. */
inline Ask(what, subject) {
  do
  :: atomic { answer = kNoAnswer; request_id = subject; request = what; asked = epoch };
    if
    :: atomic { answer != kNoAnswer -> a = answer; answer = kNoAnswer; break }
    :: answer == kNoAnswer && epoch != asked
    fi
  od
}

active proctype Writer() {
  byte made, f, g, asked, created, mine;
  mtype a;
  {
  do
  :: made == 2 -> break
  :: else ->
create:
    Ask(kCreate, made);
    created = asked;
    if
    :: a == kFull || a == kThere -> goto next
    :: else
    fi;
    /* Pins it while it is unsealed (n). */
    atomic { Find(made); if :: f != NONE && state[f] == kUnsealed -> g = generation[f] :: else -> f = NONE fi };
    if
    :: f == NONE -> goto create /* gone with the server */
    :: else
    fi;
    pin_w = f;
    atomic {
      if
      :: generation[f] != g -> pin_w = NONE; goto create /* (p) */
      :: else -> mine = number[f]; g = 0
      fi
    };
    /* Its bytes. The server may have died meanwhile, and the pin keeps the memory. */
    atomic { assert(view == 0 || view == mine); assert(state[f] != kEmpty && number[f] == mine); bytes_of = mine };
    if
    :: Ask(kSeal, made);
      pin_w = NONE;
      if
      :: a == kNotFound -> assert(epoch != created); goto create /* (o) */
      :: else
      fi
    :: Ask(kAbort, made); pin_w = NONE
    fi;
next:
    atomic { made++; f = 0; g = 0; mine = 0; created = 0; asked = 0; a = kNoAnswer }
  od;
  writer_gone = true
  } unless { writer_gone }
}

active proctype Reader() {
  byte gets, f, g, wanted;
  {
  do
  :: gets == GETS -> break
  :: else ->
    atomic {
      gets++;
      if :: wanted = 0 :: wanted = 1 fi;
      Find(wanted);
      assert(acked != wanted || (f != NONE && state[f] == kSealed));
      if :: f != NONE && state[f] == kSealed -> g = generation[f] :: else -> goto next fi
    };
    pin_r = f; /* (l) */
    atomic {
      if
      :: generation[f] == g -> view = number[f]; assert(bytes_of == view)
      :: else -> goto release
      fi
    }; /* (m) */
    atomic { assert(bytes_of == view); view = 0 }; /* it reads until it lets go */
release:
    pin_r = NONE;
next:
    skip
  od;
  reader_gone = true
  } unless { reader_gone }
}

/* One of the clients, or none, before it is done. */
active proctype ClientKiller() { if :: writer_gone = true :: reader_gone = true :: true fi }
