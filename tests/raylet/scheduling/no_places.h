// NoPlaces: the places of objects for tests of a scheduler whose tasks have no arguments elsewhere.
#pragma once

#include "raylet/scheduling/scheduler.h"

namespace raylet::test {

class NoPlaces final : public ObjectPlaces {
 public:
  bool IsHere(const ObjectId&) const override { return true; }
  void AddBytes(const ObjectId&, ArgumentBytes&) const override {}
};

}  // namespace raylet::test
