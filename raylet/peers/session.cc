#include "raylet/peers/session.h"

#include "base/check.h"
#include "base/counted.h"
#include "base/strings.h"
#include "raylet/peers/lease_times.h"

namespace raylet {
namespace {

// So many messages get an acknowledgement at once. Fewer are acknowledged with the next heartbeat.
constexpr size_t kAckMessages = 64;
constexpr size_t kAckBytes = size_t{256} << 10;

template <class Message>
void AppendMessage(Bytes& out, wire::PeerMessage type, const Message& message) {
  AppendFrame(out, static_cast<uint16_t>(type), 0, Encode(message));
}

std::string Seconds(Duration duration) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
  return ms % 1000 == 0 ? StrCat(ms / 1000, " s") : StrCat(ms, " ms");
}

}  // namespace

PeerSession::PeerSession(PeerSessionLimits limits, uint64_t number, TimePoint now)
    : limits_(limits), number_(number), heard_(now), heartbeat_at_(now) {
  RAYLET_CHECK(number != 0, "a session without a number");
}

bool PeerSession::HasRoom(size_t body_bytes) const {
  // A message larger than the whole room goes alone.
  return unacked_.empty() || (unacked_.size() < limits_.unacked_messages_max &&
                              unacked_bytes_ + sizeof(FrameHeader) + body_bytes <= limits_.unacked_bytes_max);
}

Result<void> PeerSession::Send(uint16_t type, std::span<const std::byte> body) {
  RAYLET_CHECK(type >= kPeerNumberedMin, "message ", type, " is the session's own");
  if (state_ == NodeState::kDead) return Fail(ErrorCode::kDisconnected, why_dead_.message);
  if (body.size() > kPeerBodyBytesMax) {
    return Fail(ErrorCode::kTooLarge,
                StrCat("a message of ", FormatBytes(body.size()), " to another raylet, which takes ",
                       FormatBytes(kPeerBodyBytesMax), " at most: put large values into objects"));
  }
  if (!HasRoom(body.size())) {
    wants_room_ = true;
    return Fail(ErrorCode::kFull,
                StrCat("another raylet is behind: ", Counted(unacked_.size(), "message"), ", ",
                       FormatBytes(unacked_bytes_), ", without its acknowledgement, and the limit is ",
                       limits_.unacked_messages_max, " or ", FormatBytes(limits_.unacked_bytes_max)));
  }
  Bytes frame;
  frame.reserve(sizeof(FrameHeader) + body.size());
  AppendFrame(frame, type, acked_ + unacked_.size() + 1, body);
  unacked_bytes_ += frame.size();
  unacked_.push_back(std::move(frame));
  return {};
}

bool PeerSession::TakeRoom() {
  if (!wants_room_ || state_ == NodeState::kDead) return false;
  if (unacked_.size() > limits_.unacked_messages_max / 2 || unacked_bytes_ > limits_.unacked_bytes_max / 2)
    return false;
  wants_room_ = false;
  return true;
}

void PeerSession::Goodbye(Error why) {
  if (state_ == NodeState::kDead) return;
  wire::PeerGoodbyeT goodbye;
  goodbye.status = MakeWireStatus(why);
  control_.clear();
  AppendMessage(control_, wire::PeerMessage::Goodbye, goodbye);
  const Bytes last = control_;
  End(std::move(why));
  control_ = last;
}

wire::PeerAcceptedT PeerSession::Greeting() const {
  wire::PeerAcceptedT greeting;
  greeting.session = number_;
  greeting.peer_session = peer_number_;
  greeting.received = received_;
  return greeting;
}

PeerSession::Meeting PeerSession::Meet(const PeerSession* ours, const wire::PeerAcceptedT& theirs) {
  if (ours != nullptr && ours->Continues(theirs)) return Meeting::kContinue;
  return theirs.peer_session == 0 && theirs.session != 0 ? Meeting::kBegin : Meeting::kEnded;
}

bool PeerSession::Continues(const wire::PeerAcceptedT& theirs) const {
  if (state_ == NodeState::kDead || theirs.session == 0) return false;
  if (peer_number_ != 0 && theirs.session != peer_number_) return false;
  // A side that does not know the other's number has heard nothing of it.
  if (theirs.peer_session == 0 ? theirs.received != 0 : theirs.peer_session != number_) return false;
  return theirs.received >= acked_ && theirs.received <= highest_sent_;
}

void PeerSession::Attach(const wire::PeerAcceptedT& theirs, TimePoint now) {
  RAYLET_CHECK(Continues(theirs), "session ", number_, " is attached to what does not continue it");
  peer_number_ = theirs.session;
  attached_ = true;
  ++counters_.connections;
  control_.clear();
  introduces_ = false;
  unconfirmed_messages_ = unconfirmed_bytes_ = 0;  // our Accepted has acknowledged these
  Forget(theirs.received);
  next_ = acked_ + 1;
  heartbeat_at_ = now;  // at once: the other side wants to know what is free here
  answers_at_once_ = true;
  HeardBytes(now);
}

void PeerSession::HeardBytes(TimePoint now) {
  if (state_ == NodeState::kDead) return;
  heard_ = now;
  state_ = NodeState::kUp;
}

Result<PeerSession::Heard> PeerSession::OnFrame(const Frame& frame, TimePoint now) {
  RAYLET_CHECK(attached_, "session ", number_, " hears a frame of no connection");
  if (state_ == NodeState::kDead) return Heard::kNothing;
  HeardBytes(now);
  if (frame.header.type >= kPeerNumberedMin) {
    const uint64_t number = frame.header.request_id;
    if (number <= received_) {
      ++counters_.duplicates;
      return Heard::kNothing;
    }
    if (number != received_ + 1) {
      return Fail(ErrorCode::kProtocolError, StrCat("message ", number, " came behind message ", received_));
    }
    received_ = number;
    ++counters_.messages_received;
    ++unconfirmed_messages_;
    unconfirmed_bytes_ += frame.body.size();
    return Heard::kMessage;
  }
  switch (static_cast<wire::PeerMessage>(frame.header.type)) {
    case wire::PeerMessage::Ack: {
      const auto ack = Parse<wire::PeerAckT>(frame.body);
      if (!ack) return Fail(ack.error());
      RAYLET_RETURN_IF_ERROR(OnAcked(ack->received));
      return Heard::kNothing;
    }
    case wire::PeerMessage::Heartbeat: {
      auto heartbeat = Parse<wire::PeerHeartbeatT>(frame.body);
      if (!heartbeat) return Fail(heartbeat.error());
      RAYLET_RETURN_IF_ERROR(OnAcked(heartbeat->received));
      RAYLET_RETURN_IF_ERROR(OnVouched(*heartbeat));
      if (std::exchange(answers_at_once_, false)) heartbeat_at_ = now;
      heartbeat_ = std::move(*heartbeat);
      return Heard::kHeartbeat;
    }
    case wire::PeerMessage::Introduction: {
      auto introduction = Parse<wire::PeerIntroductionT>(frame.body);
      if (!introduction) return Fail(introduction.error());
      introduction_ = std::move(*introduction);
      return Heard::kIntroduction;
    }
    case wire::PeerMessage::Goodbye: {
      const auto goodbye = Parse<wire::PeerGoodbyeT>(frame.body);
      if (!goodbye) return Fail(goodbye.error());
      End({ErrorCode::kDisconnected, StrCat("it said goodbye: ", goodbye->status->message)});
      return Heard::kGoodbye;
    }
    default: return Fail(ErrorCode::kProtocolError, StrCat("message ", frame.header.type, " came within a session"));
  }
}

Result<void> PeerSession::OnAcked(uint64_t number) {
  if (number > highest_sent_) {
    return Fail(ErrorCode::kProtocolError,
                StrCat("message ", number, " was acknowledged, and only ", highest_sent_, " were sent"));
  }
  if (number > acked_) Forget(number);
  return {};
}

// The other side heard what this one sent at `heard_ns`, so it does not call this one dead before its
// patience since then is over.
Result<void> PeerSession::OnVouched(const wire::PeerHeartbeatT& heartbeat) {
  if (heartbeat.heard_ns > sent_ns_)
    return Fail(ErrorCode::kProtocolError, "a heartbeat answers one that was never sent");
  heard_ns_ = heartbeat.sent_ns;
  if (heartbeat.heard_ns == 0) return {};
  const Duration patience = std::chrono::milliseconds(heartbeat.patience_ms);
  lease_until_ = std::max(lease_until_, TimePoint(Duration(heartbeat.heard_ns)) + LeaseOf(patience));
  return {};
}

void PeerSession::Forget(uint64_t acked) {
  for (; acked_ < acked; ++acked_) {
    unacked_bytes_ -= unacked_.front().size();
    unacked_.pop_front();
  }
  if (next_ <= acked_) next_ = acked_ + 1;
}

bool PeerSession::HasOutput() const {
  if (!attached_) return false;
  return !control_.empty() || next_ <= acked_ + unacked_.size() || unconfirmed_messages_ >= kAckMessages ||
         unconfirmed_bytes_ >= kAckBytes;
}

void PeerSession::AppendOutput(Bytes& out, size_t bytes_max) {
  if (!attached_) return;
  if (unconfirmed_messages_ >= kAckMessages || unconfirmed_bytes_ >= kAckBytes) AppendAck(out);
  out.insert(out.end(), control_.begin(), control_.end());
  control_.clear();
  introduces_ = false;
  for (; out.size() < bytes_max && next_ <= acked_ + unacked_.size(); ++next_) {
    const Bytes& frame = unacked_[next_ - acked_ - 1];
    out.insert(out.end(), frame.begin(), frame.end());
    if (next_ > highest_sent_) {
      highest_sent_ = next_;
      ++counters_.messages_sent;
    } else {
      ++counters_.messages_resent;
      counters_.bytes_resent += frame.size();
    }
  }
}

void PeerSession::AppendAck(Bytes& out) {
  wire::PeerAckT ack;
  ack.received = received_;
  AppendMessage(out, wire::PeerMessage::Ack, ack);
  unconfirmed_messages_ = unconfirmed_bytes_ = 0;
}

bool PeerSession::HeartbeatDue(TimePoint now) const {
  return attached_ && state_ != NodeState::kDead && control_.empty() && now >= heartbeat_at_;
}

void PeerSession::Heartbeat(wire::PeerHeartbeatT load, TimePoint now) {
  if (!attached_ || !control_.empty()) return;
  heartbeat_at_ = now + limits_.heartbeat_every;
  load.received = received_;
  load.sent_ns = sent_ns_ = static_cast<uint64_t>(std::max<int64_t>(now.time_since_epoch().count(), 1));
  load.heard_ns = heard_ns_;
  load.patience_ms = static_cast<uint32_t>(limits_.dead_after / std::chrono::milliseconds(1));
  unconfirmed_messages_ = unconfirmed_bytes_ = 0;
  AppendMessage(control_, wire::PeerMessage::Heartbeat, load);
}

void PeerSession::Introduce(const wire::PeerIntroductionT& introduction) {
  RAYLET_CHECK(MayIntroduce(), "an introduction that cannot go");
  introduces_ = true;
  AppendMessage(control_, wire::PeerMessage::Introduction, introduction);
}

void PeerSession::Tick(TimePoint now) {
  if (state_ == NodeState::kDead || !born()) return;
  const Duration quiet = now - heard_;
  if (quiet >= limits_.dead_after) {
    End({ErrorCode::kTimedOut, StrCat("nothing was heard of it for ", Seconds(limits_.dead_after))});
  } else if (quiet >= limits_.silent_after) {
    state_ = NodeState::kSilent;
  }
}

void PeerSession::End(Error why) {
  if (state_ == NodeState::kDead) return;
  state_ = NodeState::kDead;
  why_dead_ = std::move(why);
  acked_ += unacked_.size();
  unacked_.clear();
  unacked_bytes_ = 0;
  next_ = acked_ + 1;
  control_.clear();
  unconfirmed_messages_ = unconfirmed_bytes_ = 0;
}

}  // namespace raylet
