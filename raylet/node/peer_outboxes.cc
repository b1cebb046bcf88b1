#include "raylet/node/peer_outboxes.h"

#include "base/strings.h"

namespace raylet {

Result<void> PeerOutboxes::Post(const NodeId& node, uint16_t type, Bytes body) {
  if (!outboxes_.contains(node)) {
    const auto sent = send_(node, type, body);
    // Without a session, the machine's end has been told or is on its way. All our work there comes back.
    if (sent || sent.error().code != ErrorCode::kFull) return {};
  }
  Outbox& outbox = outboxes_[node];
  outbox.bytes += body.size();
  outbox.messages.emplace_back(type, std::move(body));
  if (outbox.bytes <= bytes_max_) return {};
  return Fail(ErrorCode::kSlowConsumer, StrCat("it does not keep up: ", FormatBytes(outbox.bytes),
                                               " wait for it and the limit is ", FormatBytes(bytes_max_)));
}

void PeerOutboxes::Room(const NodeId& node) {
  const auto found = outboxes_.find(node);
  if (found == outboxes_.end()) return;
  Outbox& outbox = found->second;
  while (!outbox.messages.empty()) {
    auto& [type, body] = outbox.messages.front();
    if (const auto sent = send_(node, type, body); !sent && sent.error().code == ErrorCode::kFull) return;
    outbox.bytes -= body.size();
    outbox.messages.pop_front();
  }
  outboxes_.erase(found);
}

size_t PeerOutboxes::WaitingBytes(const NodeId& node) const {
  const auto found = outboxes_.find(node);
  return found == outboxes_.end() ? 0 : found->second.bytes;
}

}  // namespace raylet
