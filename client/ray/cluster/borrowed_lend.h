// BorrowedLend: what another process has lent to this one, behind a value that refers to its
// objects, arrays or actors. Shared by whatever was unpacked from that value: the last holder to go
// tells the lender. Any thread.
#pragma once

#include <atomic>
#include <memory>

#include "client/ray/cluster/ownership.h"
#include "client/ray/cluster/raylet_link.h"

namespace raylet::client {

class CallChannel;

class BorrowedLend {
 public:
  enum class Told { kAlways, kOnceArmed };
  // `channel`: to the lender, where there is one.
  BorrowedLend(RayletLink& link, Ownership& ownership, ProcessId lender, LendId lend, Told told,
               std::weak_ptr<CallChannel> channel)
      : use_(link.uses()),
        link_(link),
        ownership_(ownership),
        lender_(lender),
        lend_(lend),
        channel_(std::move(channel)),
        armed_(told == Told::kAlways) {}
  ~BorrowedLend();
  BorrowedLend(const BorrowedLend&) = delete;
  BorrowedLend& operator=(const BorrowedLend&) = delete;

  // Arguments that outlive their call: until then the end of the call ends their lend.
  void Arm() { armed_.store(true, std::memory_order_release); }  // seen by the last holder, which may be another thread

 private:
  const LinkUse use_;  // first: the parts are there until all else has gone
  RayletLink& link_;
  Ownership& ownership_;
  const ProcessId lender_;
  const LendId lend_;
  const std::weak_ptr<CallChannel> channel_;
  std::atomic<bool> armed_;
};

}  // namespace raylet::client
