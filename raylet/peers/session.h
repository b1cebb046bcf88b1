// PeerSession: the numbered duplex session between this raylet and another, across the TCP
// connections that carry it one after the other. Pure: frames in, frames out, the clock comes from
// outside. Owned by PeerLinks; loop thread.
//
// Messages (types from kPeerNumberedMin on) are numbered from 1, and kept until the other side has acknowledged them. A
// new connection goes on after the last message that the other side has taken.
//
// Always holds: each message is handed out once and in order, as long as both sides' sessions live. The kept messages
// stay within the limits. At most one connection is attached, and only its frames count. A dead session stays dead: its
// number tells its late messages apart, and the two raylets begin another session.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <span>
#include <string>

#include "base/clock.h"
#include "base/frame.h"
#include "base/result.h"
#include "fbs/messages.h"
#include "fbs/peer_messages.h"
#include "raylet/scheduling/cluster_view.h"

namespace raylet {

struct PeerSessionLimits {
  size_t unacked_bytes_max = size_t{64} << 20;
  size_t unacked_messages_max = 65'536;
  Duration heartbeat_every = std::chrono::milliseconds(500);
  Duration silent_after = std::chrono::seconds(3);  // nothing heard: no new work
  Duration dead_after = std::chrono::seconds(10);   // nothing heard: the session is dead
};

class PeerSession {
 public:
  enum class Heard { kNothing, kMessage, kHeartbeat, kIntroduction, kGoodbye };
  struct Counters {
    uint64_t messages_sent = 0, messages_received = 0;  // each once
    uint64_t messages_resent = 0, bytes_resent = 0;
    uint64_t duplicates = 0;   // messages that the other side sent again
    uint64_t connections = 0;  // that have carried the session
  };

  // `number` is our number of this session: random, never 0, never used again.
  PeerSession(PeerSessionLimits limits, uint64_t number, TimePoint now);

  // ---- messages of this raylet
  // The message arrives, or the session dies. After an error the message is not kept. Errors: kTooLarge; kDisconnected
  // where the session is dead; kFull where the other side is too far behind. TakeRoom says when to go on.
  Result<void> Send(uint16_t type, std::span<const std::byte> body);
  bool HasRoom(size_t body_bytes) const;
  bool TakeRoom();          // true once after a Send that was kFull, when half of the room is free again
  void Goodbye(Error why);  // sends the last message; the session is dead from now on

  // ---- connections
  // The Accepted for a new connection.
  wire::PeerAcceptedT Greeting() const;
  // How a listener answers the dialer's Accepted. `ours` may be null.
  enum class Meeting { kContinue, kBegin, kEnded };
  static Meeting Meet(const PeerSession* ours, const wire::PeerAcceptedT& theirs);
  // Whether the other side's Accepted goes on with this session.
  bool Continues(const wire::PeerAcceptedT& theirs) const;
  void Attach(const wire::PeerAcceptedT& theirs, TimePoint now);  // Continues(theirs)
  void Detach() { attached_ = false; }
  bool attached() const { return attached_; }

  // ---- input of the attached connection
  void HeardBytes(TimePoint now);
  // kMessage: hand the frame on now. kHeartbeat: see heartbeat(). kIntroduction: see introduction(). An error: the
  // frame makes no sense, so end the session.
  Result<Heard> OnFrame(const Frame& frame, TimePoint now);
  const wire::PeerHeartbeatT& heartbeat() const { return heartbeat_; }
  // Before this the other side does not call this one dead, as it has said itself: see lease_times.h.
  // In the past where it has said nothing yet.
  TimePoint lease_until() const { return lease_until_; }
  // This side calls the other one dead no sooner, for want of a word of it.
  TimePoint dead_here_after() const { return heard_ + limits_.dead_after; }
  const wire::PeerIntroductionT& introduction() const { return introduction_; }

  // ---- output of the attached connection
  bool HasOutput() const;
  // Whole frames, until `out` has bytes_max or there are no more: acknowledgements and heartbeats
  // before messages.
  void AppendOutput(Bytes& out, size_t bytes_max);
  bool HeartbeatDue(TimePoint now) const;
  void Heartbeat(wire::PeerHeartbeatT load, TimePoint now);
  // At most one introduction waits to be sent. An introduction that was on its way when the connection broke is lost.
  bool MayIntroduce() const { return attached_ && state_ != NodeState::kDead && !introduces_; }
  void Introduce(const wire::PeerIntroductionT& introduction);

  // ---- life
  void Tick(TimePoint now);  // silent, dead
  // This raylet did not listen for this time, because it was stopped, for example. The time does not count as the other
  // side's silence.
  void DidNotListen(Duration time, TimePoint now) { heard_ = std::min(heard_ + time, now); }
  void End(Error why);  // dead at once, for example when the other machine refuses its connection
  NodeState state() const { return state_; }
  const Error& why_dead() const { return why_dead_; }
  bool born() const { return counters_.connections > 0; }  // before that, the other side does not know of the session

  uint64_t number() const { return number_; }
  size_t unacked_messages() const { return unacked_.size(); }
  size_t unacked_bytes() const { return unacked_bytes_; }
  const Counters& counters() const { return counters_; }

 private:
  void AppendAck(Bytes& out);
  Result<void> OnAcked(uint64_t number);
  Result<void> OnVouched(const wire::PeerHeartbeatT& heartbeat);
  void Forget(uint64_t acked);

  const PeerSessionLimits limits_;
  const uint64_t number_;
  uint64_t peer_number_ = 0;  // 0: not known yet
  NodeState state_ = NodeState::kUp;
  Error why_dead_;
  bool attached_ = false;
  TimePoint heard_;
  TimePoint heartbeat_at_;
  bool answers_at_once_ = false;  // the next heartbeat that is heard: the other side waits for a lease
  uint64_t heard_ns_ = 0;         // sent_ns of the last heartbeat taken
  uint64_t sent_ns_ = 0;          // of the last heartbeat made
  TimePoint lease_until_;

  // Out: unacked_ holds the frames of acked_ + 1, acked_ + 2 …; those below next_ are on the
  // attached connection.
  std::deque<Bytes> unacked_;
  size_t unacked_bytes_ = 0;
  uint64_t acked_ = 0;
  uint64_t next_ = 1;
  uint64_t highest_sent_ = 0;  // ever
  bool wants_room_ = false;
  Bytes control_;            // heartbeat, introduction or goodbye that has not gone yet
  bool introduces_ = false;  // one of these is an introduction

  // In.
  uint64_t received_ = 0;
  size_t unconfirmed_messages_ = 0, unconfirmed_bytes_ = 0;  // taken and not acknowledged
  wire::PeerHeartbeatT heartbeat_;
  wire::PeerIntroductionT introduction_;  // the last

  Counters counters_;
};

}  // namespace raylet
