#include "client/ray/cluster/borrowings.h"

#include <algorithm>
#include <utility>

#include "fbs/id_lists.h"

namespace raylet::client {

// Claims are told under the lock: LendersEnded must not return, nor a release overtake them, before they are on their
// way.
void Borrowings::Add(const void* lend, ProcessId lender, std::span<const ObjectId> covered) {
  std::vector<ObjectId> claimed;
  const MutexLock lock(mutex_);
  Borrowing& borrowing = all_[lend];
  borrowing.lender = lender;
  for (const ObjectId& object : covered) borrowing.covered.FindOrAdd(object).first.message = true;
  // A message of a process that has ended meanwhile. LendersEnded sees the borrowing, or we see the end.
  if (lender == kNoLender || ownership_.IsDead(lender)) ClaimAll(borrowing, claimed);
  Tell(wire::RayletMessage::ClaimObjects, claimed, lender == kNoLender);
}

ray::internal::Hold Borrowings::Cover(const ray::internal::Hold& lend, const ObjectId& object) {
  // A hold that was itself unpacked passes on the lend, not itself, because it may go first.
  const Holder* const outer = std::get_deleter<Holder>(lend);
  const ray::internal::Hold& whole = outer == nullptr ? lend : outer->lend;
  const ObjectId root = outer == nullptr ? object : outer->root;
  std::vector<ObjectId> claimed;
  {
    const MutexLock lock(mutex_);
    const auto found = all_.find(whole.get());
    if (found == all_.end()) return lend;
    Borrowing& borrowing = found->second;
    const auto cover = [&](const ObjectId& each) RAYLET_REQUIRES(mutex_) -> CoveredObject& {
      const auto [covered, added] = borrowing.covered.FindOrAdd(each);
      if (added && borrowing.claimed) Claim(borrowing, each, claimed);
      return covered;
    };
    cover(object).held++;
    cover(root).found_in++;
    Tell(wire::RayletMessage::ClaimObjects, claimed, borrowing.lender == kNoLender);
  }
  return ray::internal::Hold(whole.get(), Holder{this, whole, object, root});
}

Borrowings::Origin Borrowings::OriginOf(const ray::internal::Hold& lend) {
  const Holder* const outer = std::get_deleter<Holder>(lend);
  const MutexLock lock(mutex_);
  const auto found = all_.find(outer == nullptr ? lend.get() : outer->lend.get());
  if (found == all_.end() || found->second.lender == link_.process()) return {};
  return {found->second.lender, outer == nullptr};
}

void Borrowings::Holder::operator()(const void*) {
  borrowings->Uncover(*this);
  lend.reset();
}

void Borrowings::Uncover(const Holder& holder) {
  const MutexLock lock(mutex_);
  const auto found = all_.find(holder.lend.get());
  if (found == all_.end()) return;
  Borrowing& borrowing = found->second;
  borrowing.covered.Find(holder.object)->held--;
  borrowing.covered.Find(holder.root)->found_in--;
  if (borrowing.claimed) return;
  borrowing.covered.EraseIfOver(holder.object);
  if (holder.root != holder.object) borrowing.covered.EraseIfOver(holder.root);
}

std::vector<ObjectId> Borrowings::Retain(const void* lend) {
  std::vector<ObjectId> retained;
  const MutexLock lock(mutex_);
  const auto found = all_.find(lend);
  if (found == all_.end()) return retained;
  Borrowing& borrowing = found->second;
  borrowing.covered.ForEach([&](const ObjectId& object, CoveredObject& covered) {
    covered.message = false;
    if (covered.found_in > 0) retained.push_back(object);
  });
  if (!borrowing.claimed) borrowing.covered.EraseAllOver();
  return retained;
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
  borrowing.covered.ForEach([&](const ObjectId& object, const CoveredObject&) {
    if (OwnerOf(object) != link_.process()) released.push_back(object);
  });
  Tell(wire::RayletMessage::ReleaseClaims, released, borrowing.lender == kNoLender);
  return false;
}

void Borrowings::LendersEnded(std::span<const ProcessId> processes) {
  std::vector<ObjectId> claimed;
  const MutexLock lock(mutex_);
  for (auto& [lend, borrowing] : all_) {
    const ProcessId lender = borrowing.lender;
    const bool ended = std::any_of(processes.begin(), processes.end(), [lender](ProcessId process) {
      return process == lender || process == AllProcessesOf(MachineOf(lender));
    });
    if (ended && !borrowing.claimed) ClaimAll(borrowing, claimed);
  }
  Tell(wire::RayletMessage::ClaimObjects, claimed, /*unlent=*/false);
}

void Borrowings::ClaimAll(Borrowing& borrowing, std::vector<ObjectId>& of_others) {
  borrowing.claimed = true;
  std::vector<ObjectId> covered;
  borrowing.covered.ForEach([&](const ObjectId& object, const CoveredObject&) { covered.push_back(object); });
  for (const ObjectId& object : covered) Claim(borrowing, object, of_others);
}

void Borrowings::Claim(Borrowing& borrowing, const ObjectId& object, std::vector<ObjectId>& of_others) {
  if (OwnerOf(object) != link_.process())
    of_others.push_back(object);
  else if (ray::internal::Hold hold = ownership_.HoldOf(object); hold != nullptr)
    borrowing.own.push_back(std::move(hold));
}

void Borrowings::Tell(wire::RayletMessage type, std::span<const ObjectId> objects, bool unlent) {
  InPieces(ToWire(objects), [&](std::vector<wire::Id20> piece) {
    wire::ClaimNoticeT notice;
    notice.objects = std::move(piece);
    notice.unlent = unlent;
    link_.Post(type, notice);  // a raylet that is gone keeps nothing for us
  });
}

size_t Borrowings::size() const {
  const MutexLock lock(mutex_);
  return all_.size();
}

}  // namespace raylet::client
