// PeerOutboxes: messages for other raylets whose sessions have no room for them now. Owned by PeerPost; loop thread
// only. Pure: the caller gives the function that sends. Always holds: a machine's messages go out in the order in which
// they were posted. More than bytes_max for one machine is an error, which ends its session.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <span>
#include <utility>

#include "base/result.h"
#include "fbs/ids.h"
#include "fbs/messages.h"

namespace raylet {

// The bytes that may wait for one other raylet.
constexpr size_t kOutboxBytesMax = size_t{256} << 20;

class PeerOutboxes {
 public:
  // kFull: there is no room now, and Room will be called. Any other error: the session is over, and the machine gets
  // nothing more.
  using Send = std::function<Result<void>(const NodeId&, uint16_t type, std::span<const std::byte> body)>;

  explicit PeerOutboxes(Send send, size_t bytes_max = kOutboxBytesMax)
      : send_(std::move(send)), bytes_max_(bytes_max) {}

  Result<void> Post(const NodeId& node, uint16_t type, Bytes body);  // kSlowConsumer: too much waits for it
  void Room(const NodeId& node);
  void Drop(const NodeId& node) { outboxes_.erase(node); }
  size_t WaitingBytes(const NodeId& node) const;

 private:
  struct Outbox {
    std::deque<std::pair<uint16_t, Bytes>> messages;
    size_t bytes = 0;
  };

  const Send send_;
  const size_t bytes_max_;
  std::map<NodeId, Outbox> outboxes_;  // none is empty
};

}  // namespace raylet
