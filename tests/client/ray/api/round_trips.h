// Values that go through Put and Get, tasks and an actor, and come back with the same bits. For every runtime: a test
// program calls these between ray::Init and ray::Shutdown.
#pragma once

namespace round_trips {

void ExpectNumbersKept();     // every one of the edges of floats and integers, alone
void ExpectContainersKept();  // the same ones within lists, maps, tuples and the like
void ExpectUserTypesKept();   // and within classes with MSGPACK_DEFINE
void ExpectOptionalsKept();   // absent, present and present but empty ones, and pointers
void ExpectAnyKept();         // std::any
// Vectors and strings around the sizes above which they go through the store, and go there without a copy of their own.
void ExpectLargeKept();

// A value that would come back otherwise is refused where it is packed.
void ExpectLossRefused();
// An exception whose what() is null is one like any other.
void ExpectNullWhatTold();

}  // namespace round_trips
