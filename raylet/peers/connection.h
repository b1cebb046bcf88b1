// PeerConnection: one TCP connection to another raylet: first the handshake, then whole frames in
// both directions. A bulk connection gives up its descriptor after the handshake. Owned by
// PeerLinks; loop thread only, never blocking. A turn of the loop writes all output in one go, and
// encodes no more than the socket is about to take.
//
// Always holds: before the connection is open it reads nothing behind the handshake. After Close or
// TakeFd it calls nobody but OnClosed. OnClosed comes once, from the loop and never from inside a
// call; it may destroy the connection.
#pragma once

#include <cstdint>
#include <memory>

#include "base/frame.h"
#include "base/loop.h"
#include "base/tcp_socket.h"
#include "base/unique_fd.h"
#include "raylet/peers/handshake.h"

namespace raylet {

class PeerConnection {
 public:
  class Events {
   public:
    virtual ~Events() = default;
    // The other side has proved itself. The handler calls Accept or Refuse.
    virtual void OnProven(PeerConnection& connection) = 0;
    virtual void OnOpen(PeerConnection& connection) = 0;
    virtual void OnBytes(PeerConnection& connection) = 0;  // bytes of any kind came: the other side lives
    virtual void OnFrame(PeerConnection& connection, const Frame& frame) = 0;
    // Appends whole frames until `out` has bytes_max, or until there are none.
    virtual void Fill(PeerConnection& connection, Bytes& out, size_t bytes_max) = 0;
    virtual void OnClosed(PeerConnection& connection, const Error& reason) = 0;
  };

  // `fd` is connected, or about to be where this side dialed. `events` outlives it.
  PeerConnection(Loop& loop, ConnectionId id, UniqueFd fd, const TcpAddress& remote, PeerHandshake handshake,
                 Events& events);
  ~PeerConnection();

  void Accept(const wire::PeerAcceptedT& accepted);
  void Refuse(wire::RefusalKind kind, const Error& why);
  void WantsToWrite();  // Fill has output, and is called before the loop sleeps
  void Flush();         // writes now, as much as the socket takes
  void Close(Error reason);
  void DidNotListen(Duration time, TimePoint now);              // as PeerHandshake
  void Tick(TimePoint now);                                     // ends a handshake that takes too long
  void ConnectUntil(TimePoint when) { connect_until_ = when; }  // a shorter limit for connecting than the handshake's
  UniqueFd TakeFd();                                            // of an open bulk connection

  ConnectionId id() const { return id_; }
  const TcpAddress& remote() const { return remote_; }
  const PeerHandshake& handshake() const { return handshake_; }
  bool dialed() const { return handshake_.side() == PeerHandshake::Side::kDialer; }
  bool open() const { return open_; }
  bool closed() const { return closed_; }
  bool refused_by_machine() const { return refused_by_machine_; }  // nobody listens at the dialed address
  uint64_t bytes_sent() const { return bytes_sent_; }
  uint64_t bytes_received() const { return bytes_received_; }

 private:
  void Ready(FdWatcher::Events events);
  void Read();
  void ReadHandshake();
  void ReadFrames();
  void Advance();  // the handshake has moved
  void Watch();

  Loop& loop_;
  const ConnectionId id_;
  const TcpAddress remote_;
  Events& events_;
  PeerHandshake handshake_;
  UniqueFd fd_;
  FdWatcher watcher_;  // after fd_: stops before it closes
  bool connecting_;
  TimePoint connect_until_ = TimePoint::max();
  bool open_ = false;
  bool closed_ = false;
  bool refused_by_machine_ = false;
  FrameParser parser_;
  Bytes out_;
  size_t out_sent_ = 0;  // of out_
  uint64_t bytes_sent_ = 0, bytes_received_ = 0;
  EndOfTurn flush_soon_;
  // Work that is posted to the loop looks here first whether the connection still exists.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace raylet
