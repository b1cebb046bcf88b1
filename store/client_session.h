// ClientSession: one connected client: its socket, its number, its pin page and the ids that it
// watches. Owned by the StoreServer; loop thread only. Reads the wire and hands each request to the
// server.
// Always holds: a message that makes no sense closes this connection and affects no other client.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "base/framed_socket.h"
#include "base/shm_segment.h"
#include "fbs/messages.h"
#include "fbs/segment_layout.h"
#include "store/create_queue.h"
#include "store/held_frame.h"
#include "store/inherited_notices.h"
#include "store/staged_seal.h"
#include "store/staging.h"

namespace raylet::store {

class StoreServer;

class ClientSession final : public FramedSocket::Handler {
 public:
  // `server` outlives the session. `key` names the session within it, even before the client has a
  // number.
  ClientSession(StoreServer& server, uint64_t key, UniqueFd fd);

  uint64_t key() const { return key_; }
  uint32_t client() const { return client_; }  // 0 before its Hello
  template <class Message>
  void Send(wire::StoreMessage type, uint64_t request_id, const Message& message) {
    socket_.Send(static_cast<uint16_t>(type), request_id, Encode(message));
  }
  // Ends a connection that has not said hello, and tells it why.
  void Refuse(const Error& why);
  // Ends the connection of a client that posts nonsense.
  void Break(const Error& why) { socket_.Close(why); }
  // Sends nothing where no reply is wanted.
  void ReplyStatus(uint64_t request_id, const Result<void>& outcome);
  // Sends a notice if the client watches `id`, and ends that watch.
  void NoticeSealed(const ObjectId& id);
  // `ended` has ended and named this client as its heir. Sends its notices, no faster than the client
  // reads them.
  void Inherit(uint32_t ended, std::vector<ObjectId> objects);
  const std::unordered_set<ObjectId>& watched() const { return watched_; }

  // A post of the client waits for room, at most until `until`: its messages, which come later, wait behind it.
  void HoldFrames(bool hold, TimePoint until);
  bool HoldsNoLonger(TimePoint now) const { return held_.Over(socket_, now); }

  void OnFrame(const Frame& frame, std::vector<UniqueFd>& fds) override;
  void OnClosed(const Error& reason) override;
  void OnBehind(bool behind) override;

 private:
  void SendInherited();
  Result<void> Handle(const Frame& frame);
  Result<void> HandleHello(const Frame& frame);
  Result<void> HandleTakeOver(const Frame& frame);
  void AnswerRefused(uint64_t request_id, const Error& why);
  Result<void> MeetNewClient(const wire::StoreHelloT& hello);
  Result<void> MeetAgain(const wire::StoreHelloT& hello);
  void CarryOut(const Frame& frame);
  void Carried(bool greeted, bool is_hello, uint64_t request_id, Result<void> outcome);
  Result<void> Seal(const ObjectId& id);
  // Begins to copy what the client has written, where that takes several turns of the loop. False: it does not.
  bool BeginSeal(const ObjectId& id, uint64_t request_id);
  void EndSeal(const ObjectId& id, uint64_t request_id, Result<void> copied, bool there);
  // The client has connected once more, since it did not hear this session's answer. It is the newer one's now.
  bool GiveUp(uint64_t ticket);
  Result<void> Create(Result<BlockedCreate> create);
  Result<void> HandleSubscribe(const Frame& frame);
  Result<void> HandleOpenPutRing(const Frame& frame);
  Result<void> HandleRestore(const Frame& frame);
  Result<void> HandleListUses(const Frame& frame);
  Result<void> HandleDebugText(const Frame& frame);
  Result<void> HandleDelete(const Frame& frame, bool at_last_release);
  Result<void> HandleEvict(const Frame& frame);
  Result<void> HandleWatch(const Frame& frame);
  Result<void> HandleUnwatch(const Frame& frame);

  StoreServer& server_;
  const uint64_t key_;
  uint32_t client_ = 0;
  uint64_t frames_ = 0;    // carried out, without the Hello
  bool has_ring_ = false;  // in the server's PutRings
  UniqueFd pins_fd_;
  Mapping pins_;
  Staging staging_;                        // in pins_fd_, with --isolation=strict
  std::optional<StagedSeal> staged_seal_;  // no other frame of the client is carried out meanwhile
  HeldFrames held_;
  std::unordered_set<ObjectId> watched_;
  InheritedNotices inherited_;
  bool behind_ = false;                               // the client reads slowly: its notices wait here
  uint64_t counted_received_ = 0, counted_sent_ = 0;  // bytes of this socket that the index's counters already hold
  const std::shared_ptr<int> life_ = std::make_shared<int>();
  Timer hello_timer_;    // until its Hello
  FramedSocket socket_;  // last: destroyed first
};

}  // namespace raylet::store
