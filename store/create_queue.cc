#include "store/create_queue.h"

#include "base/strings.h"

namespace raylet::store {

Result<void> CreateQueue::Push(BlockedCreate create) {
  OfClient& of_client = of_client_[create.client];
  const uint64_t carried = create.carried_bytes();
  if (of_client.creates >= kBlockedCreatesPerClientMax)
    return Fail(ErrorCode::kFull, StrCat("client ", create.client, " has ", kBlockedCreatesPerClientMax,
                                         " creates that wait for room, the limit; wait for some of them"));
  if (of_client.carried_bytes + carried > kBlockedBytesPerClientMax || carried_bytes_ + carried > kBlockedBytesMax) {
    const bool own = of_client.carried_bytes + carried > kBlockedBytesPerClientMax;
    if (of_client.creates == 0) of_client_.erase(create.client);
    return Fail(ErrorCode::kFull, StrCat(own ? "the client's" : "all", " creates that wait for room carry ",
                                         FormatBytes(own ? kBlockedBytesPerClientMax : kBlockedBytesMax),
                                         " of data, the limit; wait for some of them, or create before you write"));
  }
  ++of_client.creates;
  of_client.carried_bytes += carried;
  carried_bytes_ += carried;
  next_try_ = std::min(next_try_, create.try_at);
  next_deadline_ = std::min(next_deadline_, create.deadline);
  waiting_.push_back(std::move(create));
  return {};
}

bool CreateQueue::MayOvertake(const BlockedCreate& create) const {
  return std::ranges::none_of(waiting_, [&](const BlockedCreate& other) {
    return other.need_bytes() <= create.need_bytes() && (other.options.evict_if_full || !create.options.evict_if_full);
  });
}

std::vector<BlockedCreate> CreateQueue::TakeExpired(TimePoint now) {
  if (now < next_deadline_) return {};
  auto expired = Take([now](const BlockedCreate& create) { return create.deadline <= now; });
  next_deadline_ = TimePoint::max();
  for (const BlockedCreate& create : waiting_) next_deadline_ = std::min(next_deadline_, create.deadline);
  return expired;
}

std::vector<BlockedCreate> CreateQueue::TakeThoseForDisk() {
  return Take([](const BlockedCreate& create) { return create.while_disk_writes; });
}

std::vector<BlockedCreate> CreateQueue::Cancel(uint32_t client, const ObjectId& id) {
  if (!of_client_.contains(client)) return {};
  return Take([&](const BlockedCreate& create) { return create.client == client && create.id == id; });
}

void CreateQueue::DropClient(uint32_t client) {
  if (!of_client_.contains(client)) return;
  static_cast<void>(Take([client](const BlockedCreate& create) { return create.client == client; }));
}

template <class Matches>
std::vector<BlockedCreate> CreateQueue::Take(const Matches& matches) {
  std::vector<BlockedCreate> taken;
  std::deque<BlockedCreate> left;
  for (BlockedCreate& create : waiting_) {
    if (!matches(create)) {
      left.push_back(std::move(create));
      continue;
    }
    Forget(create);
    taken.push_back(std::move(create));
  }
  waiting_.swap(left);
  return taken;
}

void CreateQueue::Forget(const BlockedCreate& create) {
  const auto it = of_client_.find(create.client);
  if (it == of_client_.end()) return;
  carried_bytes_ -= create.carried_bytes();
  it->second.carried_bytes -= create.carried_bytes();
  if (--it->second.creates == 0) of_client_.erase(it);
}

}  // namespace raylet::store
