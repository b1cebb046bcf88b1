#include "store/subscriptions.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/log.h"
#include "base/strings.h"

namespace raylet::store {
namespace {

// The kernel takes so much at once or nothing of it. So a reader never sees a part of a notice.
constexpr size_t kSentAtOnce = 4096;

}  // namespace

Result<UniqueFd> Subscriptions::Add(uint32_t client) {
  const auto mine = std::count_if(all_.begin(), all_.end(),
                                  [&](const Subscription& each) { return each.client == client && !each.ended; });
  if (static_cast<size_t>(mine) >= kSubscriptionsPerClientMax)
    return Fail(ErrorCode::kFull,
                StrCat("client ", client, " has ", mine, " subscriptions, the limit: close the socket ",
                       "of one, or read all notices from one"));
  if (all_.size() >= kSubscriptionsMax)
    return Fail(ErrorCode::kFull, StrCat("this store has ", all_.size(), " subscriptions, the limit: close some"));
  int ends[2] = {-1, -1};
  // The reader's end waits, as Plasma's does.
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    return FailErrno("cannot make the socket of a subscription", errno);
  UniqueFd theirs(ends[1]);
  Subscription& subscription =
      all_.emplace_back(client, UniqueFd(ends[0]), index_.entry_bound.load(std::memory_order_relaxed));
  subscription.watcher =
      FdWatcher(loop_, ends[0], [this, &subscription](FdWatcher::Events events) { OnReady(subscription, events); });
  subscription.watcher.Watch({.readable = true});
  SendAtEndOfTurn();
  return theirs;
}

void Subscriptions::RemoveClient(uint32_t client) {
  all_.remove_if([&](const Subscription& each) { return each.client == client; });
}

ObjectNotice Subscriptions::NoticeOf(const IndexEntry& entry) const {
  uint64_t words[3] = {};
  for (int i = 0; i < 3; ++i) words[i] = entry.id_words[i].load(std::memory_order_relaxed);
  ObjectNotice notice;
  std::memcpy(notice.id.mutable_data(), words, ObjectId::kSize);
  notice.data_bytes = static_cast<int64_t>(entry.data_bytes.load(std::memory_order_relaxed));
  notice.metadata_bytes = static_cast<int64_t>(entry.metadata_bytes.load(std::memory_order_relaxed));
  return notice;
}

std::optional<ObjectNotice> Subscriptions::SealedAt(uint32_t entry) const {
  if (StateOf(At(entry).word.load(std::memory_order_relaxed)) != EntryState::kSealed) return std::nullopt;
  return NoticeOf(At(entry));
}

void Subscriptions::Sealed(uint32_t entry) {
  if (all_.empty()) return;
  const ObjectNotice notice = NoticeOf(At(entry));
  for (Subscription& each : all_)
    if (!each.ended && !each.feed.Sealed(entry, notice)) End(each, "it is too far behind");
  EndTheFurthestBehind();
  SendAtEndOfTurn();
}

void Subscriptions::Gone(uint32_t entry) {
  if (all_.empty()) return;
  const ObjectId id = NoticeOf(At(entry)).id;
  for (Subscription& each : all_)
    if (!each.ended && !each.feed.Gone(entry, id)) End(each, "it is too far behind");
  EndTheFurthestBehind();
  SendAtEndOfTurn();
}

void Subscriptions::EndTheFurthestBehind() {
  size_t in_all = 0;
  Subscription* furthest = nullptr;
  for (Subscription& each : all_) {
    if (each.ended) continue;
    in_all += each.feed.waiting();
    if (furthest == nullptr || each.feed.waiting() > furthest->feed.waiting()) furthest = &each;
  }
  if (in_all > kNoticesWaitingInAllMax) End(*furthest, "of all subscriptions that are behind it is the furthest");
}

void Subscriptions::End(Subscription& subscription, const char* why) {
  RAYLET_LOG(kInfo, "a subscription of client ", subscription.client, " ends: ", why, "; ", subscription.feed.waiting(),
             " notices were waiting, and the limit is ", kNoticesWaitingMax);
  subscription.ended = true;
  subscription.feed.Clear();
  SendAtEndOfTurn();
}

void Subscriptions::OnReady(Subscription& subscription, FdWatcher::Events events) {
  if (subscription.ended) return;
  if (events.readable) {
    std::byte ignored[64];
    const ssize_t got = ::recv(subscription.fd.get(), ignored, sizeof ignored, MSG_DONTWAIT);
    if (got == 0) return End(subscription, "its reader has closed it");
    if (got > 0) return End(subscription, "its reader writes to it");
    if (errno != EAGAIN && errno != EINTR) return End(subscription, std::strerror(errno));
  }
  if (events.writable) {
    subscription.full = false;
    SendAtEndOfTurn();
  }
}

void Subscriptions::SendAtEndOfTurn() {
  if (std::exchange(sends_at_end_of_turn_, true)) return;
  loop_.AtEndOfTurn([this, life = std::weak_ptr<int>(life_)] {
    if (!life.expired()) SendAll();
  });
}

void Subscriptions::SendAll() {
  sends_at_end_of_turn_ = false;
  for (Subscription& each : all_)
    if (!each.ended && !each.full) Send(each);
  all_.remove_if([](const Subscription& each) { return each.ended; });
}

void Subscriptions::Send(Subscription& subscription) {
  for (size_t told = 0; told < kNoticesPerTurn;) {
    while (subscription.unsent.size() < kSentAtOnce - kNoticeContentBytesMax) {
      const auto notice = subscription.feed.Next([this](uint32_t entry) { return SealedAt(entry); });
      if (!notice) break;
      AppendNotice(subscription.unsent, *notice);
      ++told;
    }
    if (subscription.unsent.empty()) return subscription.watcher.Watch({.readable = true});
    const ssize_t sent = ::send(subscription.fd.get(), subscription.unsent.data(), subscription.unsent.size(),
                                MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno != EAGAIN) {
      subscription.ended = true;
      return;
    }
    if (sent > 0) subscription.unsent.erase(subscription.unsent.begin(), subscription.unsent.begin() + sent);
    if (!subscription.unsent.empty()) break;
  }
  // Goes on when the socket takes more, and then not before the other sockets of the loop have had their turn.
  subscription.full = true;
  subscription.watcher.Watch({.readable = true, .writable = true});
}

}  // namespace raylet::store
