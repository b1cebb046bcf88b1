// FullNumbers: what a create hears that finds no room: the numbers, and who pins how much. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "fbs/ids.h"

namespace raylet::store {

constexpr size_t kPinnersNamed = 3;

struct Pinner {
  int32_t pid = 0;
  std::string program;
  uint64_t bytes = 0;
};

struct FullNumbers {
  uint64_t need_bytes = 0, free_bytes = 0, largest_run_bytes = 0, pinned_bytes = 0;
  uint64_t reached_bytes = 0;   // free, or of objects that can be evicted and that nobody pins
  bool names_pinners = true;    // which takes a look at the pins of each client
  std::vector<Pinner> pinners;  // the kPinnersNamed that pin the most, the first one most

  std::string spilling;  // what of the store's objects is on disk, and what failed; empty: it does not spill

  // Of one client. An object that several clients pin counts for each of them.
  void AddPinner(Pinner pinner);
  // "pinned 500, of which 300 by process 12 (trainer), …"
  std::string Pinned() const;
  // The whole sentence, for a create that found no run.
  std::string NoRoomFor(const ObjectId& id, uint64_t capacity_bytes) const;
};

}  // namespace raylet::store
