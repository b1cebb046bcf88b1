/* A client writes into a leased run while the store's server dies and the next one takes over. The leases ended with
   the dead server, and the next one may give the run to somebody else, unless it knows that the client still writes
   there. The client has a store buffer, as on x86.

   Always holds: nobody else gets the run while the client writes into it, or may begin to.

   Defects, each of which the check must find: 1: the client says by a plain store that it writes. 2: the next server
   looks at the page before it says that it serves. 3: the client does not look whether another server serves.

   Where each step stands; tests/models/check finds these lines in the sources:
   (a) client/plasma/leased_writer.cc: pins_.writing.store(WritingRun(run.offset, run.slot / kGrantsPerClass), std::memory_order_seq_cst);
   (b) client/plasma/leased_writer.cc: if (index_.header().restarts.load(std::memory_order_seq_cst) != restarts_.load(std::memory_order_relaxed)) {
   (c) client/plasma/leased_writer.cc: pins_.writing.store(0, std::memory_order_release);  // after the bytes
   (d) store/recovery.cc: header.restarts.fetch_add(1, std::memory_order_seq_cst);
   (e) store/recovery.cc: const uint64_t word = page.page->writing.load(std::memory_order_seq_cst);
   (f) store/put_rings.cc: store_.EndWriting(client);  // it asks for a ring only when it does not use the last server's */
#ifndef DEFECT
#define DEFECT 0
#endif

byte restarts;
bool writing;      /* as in memory */
bool writes;       /* the client is between its look and its last byte */
bool given;        /* the run, to somebody else */
bool kept;         /* the next server has left it to the client */
bool asks;         /* the client asks the next server for a ring */
chan stores = [2] of { bool };

active proctype Drain() { bool v; end: do :: atomic { stores ? v; writing = v } od }

active proctype Client() {
  byte known, puts;
  do
  :: puts == 2 -> break
  :: else ->
    puts++;
    stores ! true; /* (a) */
#if DEFECT != 1
    empty(stores); /* seq_cst */
#endif
#if DEFECT == 3
    writes = true;
#else
    atomic { if :: restarts == known -> writes = true :: else -> stores ! false; goto lost fi }; /* (b) */
#endif
    assert(!given);
    assert(!given);
    writes = false;
    stores ! false /* (c) */
  od;
  goto done;
lost:
  empty(stores);
  asks = true; /* (f) */
done:
  skip
}

active proctype NextServer() {
  bool seen;
#if DEFECT == 2
  seen = writing;
  restarts = 1;
#else
  restarts = 1; /* (d) */
  seen = writing; /* (e) */
#endif
  if
  :: seen -> kept = true
  :: else -> atomic { assert(!writes); given = true }
  fi;
  if
  :: kept -> end: asks -> atomic { assert(!writes); given = true } /* (f) */
  :: else
  fi
}
