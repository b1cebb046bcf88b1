/* The ring of posts, and the sleep of the daemon that reads it. A producer pushes records of one or two words into a
   ring of four; a record that would cross the end is preceded by padding, and an empty ring may begin anew. Stores to
   different words become visible in any order, but for a release, which comes after the stores before it. Loads are in
   order.

   Always holds: the consumer sees each record whole, once and in order. It never sleeps while a record is there and
   nobody will ring.

   Defects, each of which the check must find: 1: the tail is published by a relaxed store. 2: no fence between the
   tail and the look whether the daemon sleeps. 3: a ring begins anew though it is not empty. 4: the daemon does not
   look at the ring again after it has said that it sleeps.

   Where each step stands; tests/models/check finds these lines in the sources:
   (a) base/ring.cc: if (cached_head_ != tail_ && SeeHead(*header_) != tail_) return;
   (b) base/ring.cc: header_->base.store(base_, std::memory_order_relaxed);
   (c) base/ring.cc: const uint64_t head = SeeHead(*header_);
   (d) base/ring.cc: StoreRecordHeader(data_ + at, PackRecordHeader(kPaddingType, to_end - kRecordHeaderBytes));
   (e) base/ring.cc: header.tail.store(tail, std::memory_order_release);
   (f) fbs/put_page.h: std::atomic_thread_fence(std::memory_order_seq_cst);
   (g) fbs/put_page.h: page.daemon_sleeps.exchange(0, std::memory_order_seq_cst) != 0;
   (h) base/ring.cc: header.tail.load(std::memory_order_acquire);
   (i) base/ring.cc: header.head.store(head, std::memory_order_release);
   (j) fbs/put_page.h: page.daemon_sleeps.store(sleeps ? 1 : 0, std::memory_order_seq_cst);
   (k) store/put_rings.cc: if (LookAtAll()) {  // rings may be quiet, or say that the daemon sleeps: a bell too many does no harm
   (l) base/ring.cc: if (const uint64_t base = header_->base.load(std::memory_order_relaxed); base != base_) { */
#ifndef DEFECT
#define DEFECT 0
#endif
#define WORDS 4
#define RECORDS 4
#define PADDING 15

byte words[WORDS];
byte tail, head, base;
bool sleeps;
bool bell;

/* The producer's stores under way: to words, to `base`, to `tail`. Each queue is in order, and there is none between
   them. */
chan to_words = [4] of { byte, byte };
chan to_base = [2] of { byte };
chan to_tail = [2] of { byte };

proctype DrainWords() { byte at, v; end: do :: atomic { to_words ? at, v; words[at] = v } od }
proctype DrainBase() { byte v; end: do :: atomic { to_base ? v; base = v } od }
proctype DrainTail() { byte v; end: do :: atomic { to_tail ? v; tail = v } od }

#define BEFORE_RELEASE (empty(to_words) && empty(to_base))
#define DRAINED (BEFORE_RELEASE && empty(to_tail))

proctype Producer() {
  byte my_tail, my_base, number = 1, size, at, wanted, i;
  do
  :: number > RECORDS -> break
  :: else ->
    if :: size = 1 :: size = 2 fi;
    /* Begins anew, where it is empty and not at its start (a, b). */
    if
    :: (my_tail - my_base) % WORDS != 0 ->
#if DEFECT == 3
      my_base = my_tail; to_base ! my_base
#else
      if :: head == my_tail -> my_base = my_tail; to_base ! my_base :: else fi
#endif
    :: true
    fi;
    at = (my_tail - my_base) % WORDS;
    wanted = size;
    if :: at + size > WORDS -> wanted = WORDS - at + size :: else fi;
    /* Waits for room (c). */
    (WORDS - (my_tail - head) >= wanted);
    if
    :: wanted > size ->
      i = at;
      do :: i == WORDS -> break :: else -> to_words ! i, PADDING; i++ od; /* (d) */
      at = 0
    :: else
    fi;
    i = 0;
    do :: i == size -> break :: else -> to_words ! at + i, number * 3 + size; i++ od;
    my_tail = my_tail + wanted;
#if DEFECT != 1
    BEFORE_RELEASE;
#endif
    to_tail ! my_tail; /* (e) */
#if DEFECT != 2
    DRAINED; /* (f) */
#endif
    if
    :: sleeps -> atomic { DRAINED; if :: sleeps -> sleeps = false; bell = true :: else fi } /* (g) */
    :: else
    fi;
    number++
  od
}

active proctype Consumer() {
  byte my_head, my_base, my_tail, new_base, skipped, number = 1, size, at, i;
  atomic { run DrainWords(); run DrainBase(); run DrainTail(); run Producer() };
  do
  :: number > RECORDS -> break
  :: else ->
    if
    :: my_head == my_tail ->
      my_tail = tail; /* (h) */
      if
      :: my_tail == my_head ->
        sleeps = true; /* (j), a full fence */
#if DEFECT != 4
        if :: tail != my_head -> goto awake :: else fi; /* (k) */
#endif
        atomic { bell -> bell = false };
        goto awake
      :: else
      fi;
      new_base = base; /* (l) */
      assert(new_base == my_base || new_base == my_head);
      my_base = new_base
    :: else
    fi;
    at = (my_head - my_base) % WORDS;
    skipped = 0;
    if :: words[at] == PADDING -> skipped = WORDS - at; at = 0 :: else fi;
    size = words[at] % 3;
    assert(words[at] != PADDING && (size == 1 || size == 2) && skipped + size <= my_tail - my_head);
    i = 0;
    do
    :: i == size -> break
    :: else -> assert(words[at + i] == number * 3 + size); i++
    od;
    my_head = my_head + skipped + size;
    number++;
    head = my_head; /* (i) */
awake:
    skip
  od
}
