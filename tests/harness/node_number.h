// NodeNumber: a node id that a test recognises by its number, below 65,536.
#pragma once

#include "fbs/ids.h"

namespace raylet::test {

inline NodeId NodeNumber(size_t number) {
  NodeId id;
  id.mutable_data()[0] = static_cast<uint8_t>(number);
  id.mutable_data()[1] = static_cast<uint8_t>(number >> 8);
  return id;
}

}  // namespace raylet::test
