// Subscriptions: the sockets on which clients are told of each object's seal and end. Owned by the StoreServer; loop
// thread only.
// Always holds: nobody waits for a subscriber. The socket of one is closed when more waits than its feed may hold, when
// its reader writes to it, and when its client ends. When too much waits in all, the one that is furthest behind goes.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/loop.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "fbs/segment_layout.h"
#include "store/notice_feed.h"

namespace raylet::store {

constexpr size_t kSubscriptionsPerClientMax = 4;
constexpr size_t kSubscriptionsMax = 64;
constexpr size_t kNoticesPerTurn = 1024;                            // of one subscriber
constexpr size_t kNoticesWaitingInAllMax = 4 * kNoticesWaitingMax;  // some 12 MiB

class Subscriptions {
 public:
  // Both outlive this. The caller reads the index on the same thread that writes it.
  Subscriptions(Loop& loop, const IndexHeader& index) : loop_(loop), index_(index) {}

  // The subscriber's end of a new socket. kFull at the limits above, kIo without descriptors.
  Result<UniqueFd> Add(uint32_t client);
  void RemoveClient(uint32_t client);

  // An entry's object is sealed now, or was and is no more. Its id still stands in the index.
  void Sealed(uint32_t entry);
  void Gone(uint32_t entry);

 private:
  struct Subscription {
    Subscription(uint32_t number, UniqueFd socket, uint32_t entries)
        : client(number), fd(std::move(socket)), feed(entries) {}
    const uint32_t client;
    const UniqueFd fd;
    NoticeFeed feed;
    std::vector<std::byte> unsent;  // taken from the feed
    bool full = false;              // the socket takes no more: its watcher tells when it does
    bool ended = false;             // closed at the end of this turn
    FdWatcher watcher;              // goes before fd
  };

  const IndexEntry& At(uint32_t entry) const { return index_.entries[static_cast<std::ptrdiff_t>(entry)]; }
  std::optional<ObjectNotice> SealedAt(uint32_t entry) const;
  ObjectNotice NoticeOf(const IndexEntry& entry) const;
  void EndTheFurthestBehind();  // where too much waits in all
  void End(Subscription& subscription, const char* why);
  void OnReady(Subscription& subscription, FdWatcher::Events events);
  void SendAtEndOfTurn();
  void SendAll();
  void Send(Subscription& subscription);

  Loop& loop_;
  const IndexHeader& index_;
  std::list<Subscription> all_;
  bool sends_at_end_of_turn_ = false;
  const std::shared_ptr<int> life_ = std::make_shared<int>();
};

}  // namespace raylet::store
