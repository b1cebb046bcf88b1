#include "store/kept.h"

#include <utility>

#include "base/strings.h"
#include "base/unix_socket.h"

namespace raylet::store {

Result<void> SendKept(int channel, KeepMessage message, std::span<const int> fds) {
  const auto sent = SendSome(channel, std::as_bytes(std::span(&message, 1)), fds);
  if (!sent) return Fail(ErrorCode::kDisconnected, sent.error().message);
  if (*sent != sizeof message) return Fail(ErrorCode::kFull, "plasma_store's keeper takes no more: is it stopped?");
  return {};
}

Result<KeepMessage> ReceiveKept(int channel, std::vector<UniqueFd>& fds) {
  KeepMessage message;
  const auto received = ReceiveSome(channel, std::as_writable_bytes(std::span(&message, 1)), fds);
  if (!received) return Fail(ErrorCode::kDisconnected, received.error().message);
  if (received->would_block) return Fail(ErrorCode::kTimedOut, "nothing is there");
  if (received->bytes != sizeof message) return Fail(ErrorCode::kDisconnected, "the other side has closed");
  return message;
}

void Apply(Kept& kept, KeepMessage message, std::vector<UniqueFd> fds) {
  if (message.what == KeepWhat::kMemory && fds.size() == 3) {
    kept.listening = std::move(fds[0]);
    kept.arena = std::move(fds[1]);
    kept.index = std::move(fds[2]);
  } else if (message.what == KeepWhat::kClient && fds.size() == 2) {
    kept.clients[message.value] = {std::move(fds[0]), std::move(fds[1])};
  } else if (message.what == KeepWhat::kClientGone) {
    kept.clients.erase(message.value);
  }
}

Result<void> SendAll(int channel, const KeptFds& kept) {
  const auto wait_and_send = [&](KeepMessage message, std::span<const int> fds) -> Result<void> {
    for (;;) {
      auto sent = SendKept(channel, message, fds);
      if (sent || sent.error().code != ErrorCode::kFull) return sent;
      const auto writable = WaitWritable(channel, Deadline::AfterMs(1000));
      if (!writable || !*writable) return sent;
    }
  };
  const int memory[] = {kept.listening, kept.arena, kept.index};
  RAYLET_RETURN_IF_ERROR(wait_and_send({KeepWhat::kMemory, 0}, memory));
  for (const auto& [number, client] : kept.clients) {
    const int both[] = {client.pins, client.socket};
    RAYLET_RETURN_IF_ERROR(wait_and_send({KeepWhat::kClient, number}, both));
  }
  return wait_and_send({KeepWhat::kAll, static_cast<uint32_t>(kept.clients.size())}, {});
}

}  // namespace raylet::store
