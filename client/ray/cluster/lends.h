// LendTable: what this process has lent: the holds behind a message that refers to its objects, arrays or actors. A
// lend
// ends when the receiver says so, when the call it belonged to ends without being retained, or when the receiver dies.
// Owned by the core; any thread. Holds are never dropped under its lock, since dropping one may come back here: Take
// hands them out.
#pragma once

#include <mutex>
#include <unordered_map>
#include <vector>

#include <ray/internal/runtime.h>

#include "fbs/ids.h"

namespace raylet::client {

using Holds = std::vector<ray::internal::Hold>;

class LendTable {
 public:
  // 0 for no holds: nothing is lent. `borrower` 0: not known yet.
  LendId Add(ProcessId borrower, Holds holds) {
    if (holds.empty()) return 0;
    const std::lock_guard lock(mutex_);
    const LendId id = ++last_;
    lends_.emplace(id, Lend{borrower, std::move(holds)});
    return id;
  }
  void SetBorrower(LendId id, ProcessId borrower) {
    const std::lock_guard lock(mutex_);
    if (const auto lend = lends_.find(id); lend != lends_.end()) lend->second.borrower = borrower;
  }
  // `by` is who returns it: nobody ends another's lend.
  [[nodiscard]] Holds Take(LendId id, ProcessId by) {
    const std::lock_guard lock(mutex_);
    const auto lend = lends_.find(id);
    if (lend == lends_.end() || (lend->second.borrower != 0 && lend->second.borrower != by)) return {};
    Holds holds = std::move(lend->second.holds);
    lends_.erase(lend);
    return holds;
  }
  [[nodiscard]] Holds Take(LendId id) {
    const std::lock_guard lock(mutex_);
    const auto lend = lends_.find(id);
    if (lend == lends_.end()) return {};
    Holds holds = std::move(lend->second.holds);
    lends_.erase(lend);
    return holds;
  }
  // With a low half of 0: of all processes of that machine.
  [[nodiscard]] Holds TakeAllOf(ProcessId borrower) {
    Holds all;
    const std::lock_guard lock(mutex_);
    for (auto lend = lends_.begin(); lend != lends_.end();) {
      if (lend->second.borrower != borrower &&
          (lend->second.borrower == 0 || AllProcessesOf(MachineOf(lend->second.borrower)) != borrower)) {
        ++lend;
        continue;
      }
      for (auto& hold : lend->second.holds) all.push_back(std::move(hold));
      lend = lends_.erase(lend);
    }
    return all;
  }
  size_t size() const {
    const std::lock_guard lock(mutex_);
    return lends_.size();
  }

 private:
  struct Lend {
    ProcessId borrower = 0;
    Holds holds;
  };
  mutable std::mutex mutex_;
  LendId last_ = 0;
  std::unordered_map<LendId, Lend> lends_;
};

}  // namespace raylet::client
