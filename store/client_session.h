// ClientSession: one connection to the store. Reads frames, checks what FlatBuffers cannot, calls the verbs, replies. Owned
// by the StoreServer; what its client holds goes with it. Loop thread only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "base/framed_socket.h"
#include "base/shm_segment.h"
#include "fbs/messages.h"
#include "store/object_store.h"

namespace raylet::store {

class StoreServer;

// A create that waits for room.
struct BlockedCreate {
  uint64_t session = 0;
  uint64_t request_id = 0;
  ObjectId id;
  CreateOptions options;
  std::optional<wire::CreateAndSealRequestT> content;  // set for CreateAndSeal
  Deadline deadline = Deadline::Never();
};

class ClientSession final : public FramedSocket::Handler {
 public:
  ClientSession(StoreServer& server, uint64_t number, UniqueFd fd, PeerCredentials peer);
  ~ClientSession() override = default;

  void OnFrame(const Frame& frame, std::vector<UniqueFd>& fds) override;
  void OnClosed(const Error& reason) override;

  // Tries a create now. False: there is no room and it may still wait.
  bool TryCreate(const BlockedCreate& create, bool last_try);
  void NoticeSealed(const ObjectId& id);
  uint32_t client() const { return client_; }
  PinPage* pins() const { return pins_.As<PinPage>(); }

 private:
  Result<void> Handle(const Frame& frame);
  Result<void> HandleHello(const Frame& frame);
  Result<void> HandleCreate(BlockedCreate create, int64_t timeout_ms);
  template <class Message>
  void Reply(wire::StoreMessage type, uint64_t request_id, const Message& message) {
    if (request_id != 0) socket_.Send(static_cast<uint16_t>(type), request_id, Encode(message));
  }
  void ReplyStatus(uint64_t request_id, const Result<void>& outcome);

  StoreServer& server_;
  const uint64_t number_;
  const PeerCredentials peer_;
  FramedSocket socket_;
  uint32_t client_ = 0;  // 0 until Hello
  UniqueFd pins_fd_;
  Mapping pins_;
  std::unordered_set<ObjectId> watched_;
};

}  // namespace raylet::store
