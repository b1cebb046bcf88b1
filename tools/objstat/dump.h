// Dump: writes the bytes of one object, read from the store's memory without the store's help.
// Always holds: what is written was the object's: bytes that an eviction may have touched are not.
#pragma once

#include <functional>
#include <span>
#include <string>

#include "tools/objstat/snapshot.h"

namespace raylet::objstat {

enum class Part { kData, kMetadata };

// Writes out one object of the snapshot. `write` gets the bytes in order, and its error ends the dump.
// kNotFound: the object went meanwhile. kUnavailable: no process with the memory lets us read it. kWrongState: it is
// not sealed.
Result<void> Dump(const OpenIndex& open, const Snapshot& snapshot, const Object& object, Part part,
                  const std::function<Result<void>(std::span<const char>)>& write);

}  // namespace raylet::objstat
