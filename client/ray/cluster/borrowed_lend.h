// BorrowedLend: what another process has lent to this one, behind a value that refers to its
// objects, arrays or actors. Shared by whatever was unpacked from that value: the last holder to go
// tells the lender. Any thread. While it lives, Borrowings knows what it covers.
#pragma once

#include <atomic>
#include <memory>

#include "client/ray/cluster/borrowings.h"
#include "client/ray/cluster/ownership.h"
#include "client/ray/cluster/raylet_link.h"

namespace raylet::client {

class CallChannel;

class BorrowedLend {
 public:
  enum class Told { kAlways, kOnceArmed };
  // `channel`: to the lender, where there is one. `covered`: what the message refers to, as far as this
  // process has it without unpacking anything.
  BorrowedLend(RayletLink& link, Ownership& ownership, Borrowings& borrowings, ProcessId lender, LendId lend, Told told,
               std::weak_ptr<CallChannel> channel, std::vector<ObjectId> covered)
      : use_(link.uses()),
        link_(link),
        ownership_(ownership),
        borrowings_(borrowings),
        lender_(lender),
        lend_(lend),
        channel_(std::move(channel)),
        armed_(told == Told::kAlways) {
    borrowings_.Add(this, lender_, std::move(covered));
  }
  ~BorrowedLend();
  BorrowedLend(const BorrowedLend&) = delete;
  BorrowedLend& operator=(const BorrowedLend&) = delete;

  // Arguments that outlive their call: until then the end of the call ends their lend.
  void Arm() { armed_.store(true, std::memory_order_release); }  // seen by the last holder, which may be another thread

 private:
  const LinkUse use_;  // first: the parts are there until all else has gone
  RayletLink& link_;
  Ownership& ownership_;
  Borrowings& borrowings_;
  const ProcessId lender_;
  const LendId lend_;
  const std::weak_ptr<CallChannel> channel_;
  std::atomic<bool> armed_;
};

}  // namespace raylet::client
