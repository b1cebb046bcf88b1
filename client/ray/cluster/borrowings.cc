#include "client/ray/cluster/borrowings.h"

#include <algorithm>
#include <utility>

#include "fbs/id_lists.h"

namespace raylet::client {
void Borrowings::Add(const void* lend, ProcessId lender, std::vector<ObjectId> covered) {
  std::vector<ObjectId> claimed;
  {
    const MutexLock lock(mutex_);
    Borrowing& borrowing = all_[lend];
    borrowing.lender = lender;
    borrowing.covered.insert(covered.begin(), covered.end());
    // A message of a process that has ended meanwhile. LendersEnded sees the borrowing, or we see the end.
    if (ownership_.IsDead(lender)) ClaimAll(borrowing, claimed);
  }
  Tell(wire::RayletMessage::ClaimObjects, claimed);
}

void Borrowings::Cover(const void* lend, const ObjectId& object) {
  std::vector<ObjectId> claimed;
  {
    const MutexLock lock(mutex_);
    const auto found = all_.find(lend);
    if (found == all_.end()) return;
    Borrowing& borrowing = found->second;
    if (borrowing.covered.insert(object).second && borrowing.claimed) Claim(borrowing, object, claimed);
  }
  Tell(wire::RayletMessage::ClaimObjects, claimed);
}

bool Borrowings::Remove(const void* lend) {
  Borrowing borrowing;
  {
    const MutexLock lock(mutex_);
    const auto found = all_.find(lend);
    if (found == all_.end()) return true;
    borrowing = std::move(found->second);
    all_.erase(found);
  }
  if (!borrowing.claimed) return true;
  std::vector<ObjectId> released;
  for (const ObjectId& object : borrowing.covered)
    if (OwnerOf(object) != link_.process()) released.push_back(object);
  Tell(wire::RayletMessage::ReleaseClaims, released);
  return false;
}

void Borrowings::LendersEnded(std::span<const ProcessId> processes) {
  std::vector<ObjectId> claimed;
  {
    const MutexLock lock(mutex_);
    for (auto& [lend, borrowing] : all_) {
      const ProcessId lender = borrowing.lender;
      const bool ended = std::any_of(processes.begin(), processes.end(), [lender](ProcessId process) {
        return process == lender || process == AllProcessesOf(MachineOf(lender));
      });
      if (ended && !borrowing.claimed) ClaimAll(borrowing, claimed);
    }
  }
  Tell(wire::RayletMessage::ClaimObjects, claimed);
}

void Borrowings::ClaimAll(Borrowing& borrowing, std::vector<ObjectId>& of_others) {
  borrowing.claimed = true;
  for (const ObjectId& object : borrowing.covered) Claim(borrowing, object, of_others);
}

void Borrowings::Claim(Borrowing& borrowing, const ObjectId& object, std::vector<ObjectId>& of_others) {
  if (OwnerOf(object) != link_.process())
    of_others.push_back(object);
  else if (ray::internal::Hold hold = ownership_.HoldOf(object); hold != nullptr)
    borrowing.own.push_back(std::move(hold));
}

void Borrowings::Tell(wire::RayletMessage type, std::span<const ObjectId> objects) {
  InPieces(ToWire(objects), [&](std::vector<wire::Id20> piece) {
    wire::ClaimNoticeT notice;
    notice.objects = std::move(piece);
    static_cast<void>(link_.Send(type, notice));  // a raylet that is gone keeps nothing for us
  });
}

}  // namespace raylet::client
