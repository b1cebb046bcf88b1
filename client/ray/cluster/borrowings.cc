#include "client/ray/cluster/borrowings.h"

#include <algorithm>
#include <utility>

namespace raylet::client {
namespace {

constexpr size_t kObjectsPerMessage = 10'000;

}  // namespace

void Borrowings::Add(const void* lend, ProcessId lender, std::vector<ObjectId> covered) {
  std::vector<ObjectId> claimed;
  {
    const MutexLock lock(mutex_);
    Borrowing& borrowing = all_[lend];
    borrowing.lender = lender;
    borrowing.covered = std::move(covered);
    // A message of a process that has ended meanwhile. LendersEnded sees the borrowing, or we see the end.
    if (ownership_.IsDead(lender)) claimed = Claim(borrowing, borrowing.covered);
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
    if (std::find(borrowing.covered.begin(), borrowing.covered.end(), object) != borrowing.covered.end()) return;
    borrowing.covered.push_back(object);
    if (borrowing.claimed) claimed = Claim(borrowing, {&object, 1});
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
  std::erase_if(borrowing.covered, [this](const ObjectId& id) { return OwnerOf(id) == link_.process(); });
  Tell(wire::RayletMessage::ReleaseClaims, borrowing.covered);
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
      if (!ended || borrowing.claimed) continue;
      const std::vector<ObjectId> more = Claim(borrowing, borrowing.covered);
      claimed.insert(claimed.end(), more.begin(), more.end());
    }
  }
  Tell(wire::RayletMessage::ClaimObjects, claimed);
}

std::vector<ObjectId> Borrowings::Claim(Borrowing& borrowing, std::span<const ObjectId> objects) {
  borrowing.claimed = true;
  std::vector<ObjectId> others;
  for (const ObjectId& object : objects) {
    if (OwnerOf(object) != link_.process())
      others.push_back(object);
    else if (ray::internal::Hold hold = ownership_.HoldOf(object); hold != nullptr)
      borrowing.own.push_back(std::move(hold));
  }
  return others;
}

void Borrowings::Tell(wire::RayletMessage type, std::span<const ObjectId> objects) {
  for (; !objects.empty(); objects = objects.subspan(std::min(objects.size(), kObjectsPerMessage))) {
    wire::ClaimNoticeT notice;
    for (const ObjectId& id : objects.first(std::min(objects.size(), kObjectsPerMessage)))
      notice.objects.push_back(ToWire(id));
    static_cast<void>(link_.Send(type, notice));  // a raylet that is gone keeps nothing for us
  }
}

size_t Borrowings::size() const {
  const MutexLock lock(mutex_);
  return all_.size();
}

}  // namespace raylet::client
