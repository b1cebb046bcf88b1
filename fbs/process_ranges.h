// ProcessRanges: a set of process numbers, kept as ranges. It stays small for the processes of a machine that have
// ended, because most of their numbers are neighbours. One thread at a time.
#pragma once

#include <cstddef>
#include <iterator>
#include <map>

#include "fbs/ids.h"

namespace raylet {

class ProcessRanges {
 public:
  void Add(ProcessId process) {
    if (Contains(process)) return;
    const auto next = ranges_.upper_bound(process);
    const bool joins_next = next != ranges_.end() && next->first == process + 1;
    const ProcessId last = joins_next ? next->second : process;
    if (joins_next) ranges_.erase(next);
    const auto after = ranges_.upper_bound(process);
    if (after != ranges_.begin()) {
      const auto before = std::prev(after);
      if (before->second + 1 == process) {
        before->second = last;
        return;
      }
    }
    ranges_.emplace(process, last);
  }
  bool Contains(ProcessId process) const {
    const auto after = ranges_.upper_bound(process);
    return after != ranges_.begin() && std::prev(after)->second >= process;
  }
  size_t ranges() const { return ranges_.size(); }

 private:
  std::map<ProcessId, ProcessId> ranges_;  // the first of each to its last; none overlaps or touches another
};

}  // namespace raylet
