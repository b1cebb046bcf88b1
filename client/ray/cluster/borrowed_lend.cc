#include "client/ray/cluster/borrowed_lend.h"

#include "client/ray/cluster/call_channel.h"

namespace raylet::client {

BorrowedLend::~BorrowedLend() {
  // A lender that has ended hears nothing. This process releases its claims instead.
  const bool lender_lives = borrowings_.Remove(this);
  if (!lender_lives || !armed_.load(std::memory_order_acquire) || !link_.Usable()) return;
  if (const auto channel = channel_.lock(); channel != nullptr && channel->TryReleaseLend(lend_)) return;
  if (lender_ == link_.process()) {
    const Holds ended = ownership_.EndLend(lend_);
    return;
  }
  wire::LendNoticeT notice;
  notice.process = lender_;
  notice.lend = lend_;
  link_.Post(wire::RayletMessage::ReleaseLend, notice);  // a raylet that is gone ended all lends
}

ray::internal::Hold ClaimUnlent(RayletLink& link, Ownership& ownership, Borrowings& borrowings,
                                std::span<const ObjectId> objects) {
  return std::make_shared<BorrowedLend>(link, ownership, borrowings, Borrowings::kNoLender, LendId{0},
                                        BorrowedLend::Told::kOnceArmed, std::weak_ptr<CallChannel>(), objects);
}

}  // namespace raylet::client
