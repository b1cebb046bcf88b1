// SeededId: an id for a test whose runs must all be the same. Orders by ids, or by their hashes, are then the same in
// each run.
#pragma once

#include <random>

#include "base/id.h"

namespace raylet::test {

template <class AnId>
AnId SeededId(std::mt19937_64& random) {
  AnId id;
  for (size_t i = 0; i < AnId::size(); ++i) id.mutable_data()[i] = static_cast<uint8_t>(random());
  return id;
}

}  // namespace raylet::test
