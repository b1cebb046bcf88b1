/* Pins. Two threads of a client get objects without the daemon, while the daemon deletes them, frees their memory and
   puts other objects there. Each thread has a store buffer, as on x86; a read-modify-write waits until it is empty.
   Loads are in order. There are two entries, each with memory of its own, and a page has two slots. The mark may fall
   to 0, where the daemon leaves it at 1024 or above. One thread gets once, the other twice.

   Always holds: the bytes of an object stay while a thread holds a view of it. The mark is above each slot that pins.

   Defects, each of which the check must find: 1: a pin is a plain store. 2: the daemon does not read the slots again
   after it has lowered the mark. 3: a thread does not look at the entry's word after its pin.

   Where each step stands; tests/models/check finds these lines in the sources:
   (a) client/plasma/pin_table.h: !pin.compare_exchange_strong(free, value, std::memory_order_seq_cst))
   (b) client/plasma/pin_table.h: page_->slots_high_water.compare_exchange_weak(mark, slot + 1, std::memory_order_seq_cst)
   (c) client/plasma/mapped_index.h: entries_[found.entry].word.load(std::memory_order_seq_cst) == found.word
   (d) client/plasma/pin_table.h: page_->slots[slot].store(0, std::memory_order_release)
   (e) store/object_index.cc: Change(entry, EntryState::kDying, std::memory_order_seq_cst);
   (f) store/pin_ledger.cc: const uint32_t mark = page.slots_high_water.load(std::memory_order_seq_cst);
   (g) store/pin_ledger.cc: const uint32_t slot = page.slots[i].load(std::memory_order_seq_cst);
   (h) store/pin_ledger.cc: page.slots_high_water.compare_exchange_strong(mark, used, std::memory_order_seq_cst)
   (i) store/pin_ledger.cc: ReadSlots(page, used, std::min(mark, kPinSlots), entry_count_, [this](uint32_t entry) { Mark(entry); });
   (j) store/pin_ledger.cc: page.slots_high_water.compare_exchange_weak(now, late, std::memory_order_seq_cst)
   (k) store/object_index.cc: Change(entry, EntryState::kEmpty, std::memory_order_release);
   (l) store/object_index.cc: Change(entry, EntryState::kUnsealed, std::memory_order_release); */
#ifndef DEFECT
#define DEFECT 0
#endif
#define ENTRIES 2
#define SLOTS 2
#define DELETES 3 /* of the entries in turn */

/* The word of each entry: 3 n + 1 when its object n is sealed, 3 n + 2 when that is dying, 3 n + 3 when it is empty. */
byte word[ENTRIES] = 1;
byte bytes_of[ENTRIES]; /* the object whose bytes lie in the memory */
byte slots[SLOTS];      /* the entry that it pins, + 1; or 0 */
byte mark;              /* slots from here on pin nothing */
byte holds[2];          /* of each thread: the entry of its view, + 1; or 0 */
byte held[2];           /* the object of that view */

/* A thread's stores under way: slot and value. */
chan stores0 = [2] of { byte, byte };
chan stores1 = [2] of { byte, byte };

proctype Drain0() { byte s, v; end: do :: atomic { stores0 ? s, v; slots[s] = v } od }
proctype Drain1() { byte s, v; end: do :: atomic { stores1 ? s, v; slots[s] = v } od }

inline Store(s, v) {
  if
  :: me == 0 -> stores0 ! s, v
  :: else -> stores1 ! s, v
  fi
}
#define DRAINED ((me == 0 && empty(stores0)) || (me == 1 && empty(stores1)))

proctype Thread(byte me) {
  byte e, found, s, seen, tries;
  do
  :: tries == 1 + me -> break
  :: else ->
    tries++;
    atomic {
      if :: e = 0 :: e = 1 fi;
      found = word[e];
      if :: found % 3 == 1 :: else -> goto next fi
    };
    /* Takes one of the slots (a). */
    if :: s = 0 :: s = 1 fi;
#if DEFECT == 1
    atomic { if :: slots[s] == 0 -> Store(s, e + 1) :: else -> goto next fi };
#else
    atomic { DRAINED; if :: slots[s] == 0 -> slots[s] = e + 1 :: else -> goto next fi };
#endif
    /* Raises the mark (b). */
    seen = mark;
    do
    :: seen > s -> break
    :: else ->
#if DEFECT == 1
      atomic { if :: mark == seen -> mark = s + 1; seen = s + 1 :: else -> seen = mark fi }
#else
      atomic { DRAINED; if :: mark == seen -> mark = s + 1; seen = s + 1 :: else -> seen = mark fi }
#endif
    od;
    /* The second look (c). */
#if DEFECT == 3
    atomic { holds[me] = e + 1; held[me] = found / 3 };
#else
    atomic { if :: word[e] == found -> holds[me] = e + 1; held[me] = found / 3 :: else -> goto unpin fi };
#endif
    /* Reads the bytes at any time until it lets go. */
    atomic { assert(bytes_of[e] == held[me]); holds[me] = 0; held[me] = 0 };
unpin:
    Store(s, 0); /* (d) */
next:
    atomic { found = 0; s = 0; seen = 0; e = 0 }
  od
}

active proctype Daemon() {
  byte deletes, e, object, i, end_slot, used, late, now;
  bool pinned;
  atomic { run Drain0(); run Drain1(); run Thread(0); run Thread(1) };
  do
  :: deletes == DELETES -> break
  :: else ->
    atomic { e = deletes % ENTRIES; object = deletes / ENTRIES; deletes++ };
    word[e] = 3 * object + 2; /* (e), a full fence */
scan:
    atomic { pinned = false; used = 0; i = 0; end_slot = mark }; /* (f) */
    do
    :: i == end_slot -> break
    :: else -> /* (g) */
      atomic { if :: slots[i] == 0 :: else -> pinned = pinned || slots[i] == e + 1; used = i + 1 fi; i++ }
    od;
    if
    :: end_slot > 0 && used <= end_slot / 2 ->
      atomic { if :: mark == end_slot -> mark = used :: else -> goto scanned fi }; /* (h) */
#if DEFECT != 2
      atomic { late = used; i = used };
      do
      :: i == end_slot -> break
      :: else -> /* (i) */
      atomic { if :: slots[i] == 0 :: else -> pinned = pinned || slots[i] == e + 1; late = i + 1 fi; i++ }
      od;
      now = used;
      do
      :: now >= late -> break
      :: else -> atomic { if :: mark == now -> mark = late; now = late :: else -> now = mark fi } /* (j) */
      od
#endif
    :: else
    fi;
scanned:
    if
    :: pinned -> goto scan
    :: else
    fi;
    word[e] = 3 * object + 3; /* (k) */
    atomic { assert(holds[0] != e + 1 && holds[1] != e + 1); bytes_of[e] = object + 1 };
    word[e] = 3 * (object + 1) + 1 /* (l), and sealed */
  od
}
