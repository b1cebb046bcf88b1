// BorrowedLend: a lend of another process to this one, for a value that refers to the lender's objects, arrays or
// actors. All that was unpacked from the value shares it, and its destructor tells the lender. Any thread. While it
// lives, Borrowings knows the objects that it covers.
#pragma once

#include <atomic>
#include <memory>
#include <span>

#include <ray/internal/runtime.h>

#include "client/ray/cluster/borrowings.h"
#include "client/ray/cluster/ownership.h"
#include "client/ray/cluster/raylet_link.h"

namespace raylet::client {

class CallChannel;

class BorrowedLend {
 public:
  enum class Told { kAlways, kOnceArmed };
  // `channel`: to the lender, where there is one. `covered`: the objects to which the message refers, as far as they
  // are known before it is unpacked.
  BorrowedLend(RayletLink& link, Ownership& ownership, Borrowings& borrowings, ProcessId lender, LendId lend, Told told,
               std::weak_ptr<CallChannel> channel, std::span<const ObjectId> covered)
      : use_(link.uses()),
        link_(link),
        ownership_(ownership),
        borrowings_(borrowings),
        lender_(lender),
        lend_(lend),
        channel_(std::move(channel)),
        armed_(told == Told::kAlways) {
    borrowings_.Add(this, lender_, covered);
  }
  ~BorrowedLend();
  BorrowedLend(const BorrowedLend&) = delete;
  BorrowedLend& operator=(const BorrowedLend&) = delete;

  // The arguments outlive their call, so this ends their lend. Without Arm the end of the call does.
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

// Claims objects of other processes that nobody has lent to this one, for as long as the hold lives. Where an owner has
// freed its object before, this process hears that the object is lost.
ray::internal::Hold ClaimUnlent(RayletLink& link, Ownership& ownership, Borrowings& borrowings,
                                std::span<const ObjectId> objects);

}  // namespace raylet::client
