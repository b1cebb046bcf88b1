#include "client/plasma/store_connection.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/unix_socket.h"
#include "base/waiter.h"

namespace raylet::client {

namespace {

constexpr Duration kWaitSlice = std::chrono::milliseconds(100);  // between two looks at whether End was called
constexpr int64_t kLookPeriodMs = 500;
constexpr Duration kRestorePatienceMin = std::chrono::milliseconds(100);  // also for calls that do not wait
// How long a reader looks at the socket again and again before it sleeps: waking up costs more than
// most replies take.
constexpr Duration kReplySpin = std::chrono::microseconds(40);

}  // namespace

StoreConnection::StoreConnection(FrameConnection connection, std::string socket, Duration patience)
    : socket_(std::move(socket)),
      patience_(patience),
      connection_(std::move(connection)),
      closed_in_children_(connection_.fd()) {}

tl::unexpected<Error> StoreConnection::Gone() const {
  return Fail(
      ErrorCode::kDisconnected,
      StrCat("the store at ", socket_, " is gone: see why plasma_store ended, start it again and connect anew"));
}

tl::unexpected<Error> StoreConnection::Closed() const {
  if (!ended()) return Gone();
  return Fail(ErrorCode::kDisconnected,
              StrCat("this client was disconnected from the store at ", socket_, ": connect anew"));
}

tl::unexpected<Error> StoreConnection::NoAnswer() const {
  return Fail(ErrorCode::kTimedOut, StrCat("the store at ", socket_, " did not answer in time: is it stopped?"));
}

tl::unexpected<Error> StoreConnection::NotTaken() const {
  return Fail(ErrorCode::kTimedOut, StrCat("the store at ", socket_, " did not read in time: is it stopped?"));
}

void StoreConnection::End() {
  ended_.store(true, std::memory_order_release);  // with the acquire in ended()
  next_look_ms_.store(0, std::memory_order_relaxed);
  {
    const MutexLock lock(mutex_);  // a thread that read the flag before waits already
    changed_.NotifyAll();
  }
  const MutexLock lock(send_mutex_);
  sender_left_.NotifyAll();
}

void StoreConnection::Break() {
  broken_.store(true, std::memory_order_release);  // with the acquire in broken()
  next_look_ms_.store(0, std::memory_order_relaxed);
}

bool StoreConnection::Look() {
  int64_t due = next_look_ms_.load(std::memory_order_relaxed);
  if (ended() || broken()) return false;
  // Not over a zero of End or Break; one look is enough for all threads.
  next_look_ms_.compare_exchange_strong(due, CoarseNowMs() + kLookPeriodMs, std::memory_order_relaxed);
  return !PeerGone() && !ended();
}

bool StoreConnection::PeerGone() {
  if (broken()) return true;
  const MutexLock lock(mutex_);  // Restore changes the connection
  if (broken()) return true;
  if (!connection_.PeerGone()) return false;
  Break();
  return true;
}

Result<void> StoreConnection::Send(wire::StoreMessage type, uint64_t request_id, const Bytes& body,
                                   const AwakeDeadline& deadline, Sender sender, uint64_t* restored) {
  if (fork_guard_.InChild()) return ForkGuard::Refuse(socket_);
  {
    MutexLock lock(send_mutex_);
    while (somebody_sends_) {
      if (sender == Sender::kAny && ended()) return Closed();
      if (deadline.Passed()) return NotTaken();
      sender_left_.Wait(send_mutex_, deadline.Next());
    }
    somebody_sends_ = true;
  }
  auto sent = SendAlone(type, request_id, body, deadline, sender);
  if (restored != nullptr) *restored = this->restored();  // it does not change while somebody sends
  if (sent && known_) {
    sent_.Handled(known_->page->frames_handled.load(std::memory_order_acquire));
    if (request_id == 0)
      sent_.Sent(type, body);
    else
      sent_.Sent();
  }
  {
    const MutexLock lock(send_mutex_);
    somebody_sends_ = false;
  }
  sender_left_.NotifyOne();
  // Nobody else sends it again.
  if (!sent && sent.error().code == ErrorCode::kDisconnected && request_id == 0 && sender == Sender::kAny && !ended()) {
    RAYLET_RETURN_IF_ERROR(Restore(deadline));
    return Send(type, request_id, body, deadline, sender);
  }
  return sent;
}

Result<bool> StoreConnection::Flush() {
  {
    const MutexLock lock(send_mutex_);
    if (somebody_sends_) return false;
    auto flushed = broken() ? Result<bool>(Gone()) : connection_.Flush();
    if (flushed) return flushed;
  }
  Break();
  const auto restored = Restore(Deadline::AfterMs(0));
  if (!restored && restored.error().code != ErrorCode::kTimedOut) return Fail(restored.error());
  return false;  // what was told goes to the next server
}

// By the one thread that sends. A message that the socket has taken a part of counts as sent: its rest goes before the
// next one, should this thread give up.
Result<void> StoreConnection::SendAlone(wire::StoreMessage type, uint64_t request_id, const Bytes& body,
                                        const AwakeDeadline& deadline, Sender sender) {
  bool begun = false;
  for (;;) {
    if (sender == Sender::kAny && ended()) return Closed();
    if (broken()) return Gone();
    Result<bool> taken = true;
    if (!begun) {
      taken = connection_.TrySend(static_cast<uint16_t>(type), request_id, body);
      begun = taken.value_or(false);
      if (begun) frames_sent_.fetch_add(1, std::memory_order_release);
    }
    if (begun) taken = connection_.Flush();
    if (!taken && taken.error().code == ErrorCode::kTooLarge)
      return Fail(taken.error().code, StrCat("the store at ", socket_, ": ", taken.error().message));
    if (!taken || (!*taken && connection_.PeerGone())) {
      Break();
      return Gone();
    }
    if (*taken) return {};
    if (deadline.Passed()) return begun ? Result<void>() : NotTaken();
    // Its failure comes again, from the next attempt to send.
    static_cast<void>(WaitWritable(connection_.fd(), deadline.Next(kWaitSlice)));
  }
}

// Descriptors come no later than their reply, in order, and only these replies have any.
std::vector<UniqueFd> StoreConnection::TakeDescriptors(const Frame& reply) {
  const auto type = static_cast<wire::StoreMessage>(reply.header.type);
  const size_t most = type == wire::StoreMessage::SubscribeReply ? 1 : type == wire::StoreMessage::PutRingReply ? 2 : 0;
  std::vector<UniqueFd>& fds = connection_.fds();
  const auto end = fds.begin() + static_cast<std::ptrdiff_t>(std::min(most, fds.size()));
  std::vector<UniqueFd> taken(std::make_move_iterator(fds.begin()), std::make_move_iterator(end));
  fds.erase(fds.begin(), end);
  return taken;
}

Result<Frame> StoreConnection::Exchange(wire::StoreMessage type, const Bytes& body, wire::StoreMessage reply_type,
                                        Duration patience, std::vector<UniqueFd>* descriptors) {
  if (fork_guard_.InChild()) return ForkGuard::Refuse(socket_);  // before any lock
  const AwakeDeadline deadline(patience);
  Waiting waiting;
  Result<void> outcome = Exchange(type, body, deadline, waiting);
  while (!outcome && outcome.error().code == ErrorCode::kDisconnected && !ended() && Restore(deadline)) {
    waiting = Waiting();
    outcome = Exchange(type, body, deadline, waiting);
  }
  if (!outcome) return Fail(std::move(outcome).error());
  if (static_cast<wire::StoreMessage>(waiting.reply->header.type) != reply_type)
    return Fail(ErrorCode::kProtocolError,
                StrCat("the store at ", socket_, " answered ", wire::EnumNameStoreMessage(type),
                       " by a message of type ", waiting.reply->header.type));
  if (descriptors != nullptr) *descriptors = std::move(waiting.descriptors);
  return *std::move(waiting.reply);
}

// kDisconnected: nobody will answer over this connection.
Result<void> StoreConnection::Exchange(wire::StoreMessage type, const Bytes& body, const AwakeDeadline& deadline,
                                       Waiting& waiting) {
  uint64_t request = 0;
  {
    const MutexLock lock(mutex_);
    request = ++last_request_;
    waiting_.emplace(request, &waiting);
  }
  Result<void> outcome = Send(type, request, body, deadline, Sender::kAny, &waiting.restored);
  if (outcome) outcome = AwaitReply(waiting, deadline);
  {
    const MutexLock lock(mutex_);
    waiting_.erase(request);
  }
  return outcome;
}

Result<void> StoreConnection::AwaitReply(const Waiting& waiting, const AwakeDeadline& deadline) {
  MutexLock lock(mutex_);
  bool looked = false;  // a deadline in the past allows one look, too
  while (!waiting.reply) {
    const bool late = looked && deadline.Passed();
    if (late || ended()) {
      if (!somebody_reads_) changed_.NotifyAll();  // another thread becomes the reader
      if (!late) return Closed();
      return NoAnswer();
    }
    looked = true;
    if (waiting.restored != restored()) {  // the server that was asked is dead
      if (!somebody_reads_) changed_.NotifyAll();
      return Gone();
    }
    if (somebody_reads_) {
      // The reading thread hands us our reply, or the role of the reader.
      changed_.Wait(mutex_, deadline.Next());
      continue;
    }
    somebody_reads_ = true;
    lock.Unlock();
    auto frame = ReadOne(deadline.Next(kWaitSlice));
    std::vector<UniqueFd> descriptors;
    if (frame && frame->has_value()) descriptors = TakeDescriptors(**frame);
    lock.Lock();
    somebody_reads_ = false;
    if (frame && frame->has_value()) {
      // A reply that nobody waits for any more came after its deadline.
      if (const auto it = waiting_.find((*frame)->header.request_id); it != waiting_.end()) {
        it->second->descriptors = std::move(descriptors);
        it->second->reply = **std::move(frame);
      }
    }
    if (frame && !frame->has_value()) continue;
    if (!frame) Break();
    changed_.NotifyAll();
    if (!frame) {
      const Error& error = frame.error();
      if (error.code == ErrorCode::kDisconnected || error.code == ErrorCode::kIo) return Gone();
      return Fail(error.code, StrCat("the store at ", socket_, ": ", error.message));
    }
  }
  return {};
}

void StoreConnection::BeginSeal(const ObjectId& id) {
  const MutexLock lock(mutex_);
  seals_.insert(id);
}

void StoreConnection::EndSeal(const ObjectId& id) {
  const MutexLock lock(mutex_);
  if (const auto it = seals_.find(id); it != seals_.end()) seals_.erase(it);
}

// The roles of the thread that sends and of the one that reads. Both leave a broken connection soon.
bool StoreConnection::TakeRoles(const AwakeDeadline& deadline) {
  {
    MutexLock lock(send_mutex_);
    while (somebody_sends_) {
      if (deadline.Passed()) return false;
      sender_left_.Wait(send_mutex_, deadline.Next());
    }
    somebody_sends_ = true;
  }
  MutexLock lock(mutex_);
  while (somebody_reads_ && !deadline.Passed()) changed_.Wait(mutex_, deadline.Next());
  if (!somebody_reads_) return somebody_reads_ = true;
  lock.Unlock();
  const MutexLock send_lock(send_mutex_);
  somebody_sends_ = false;
  sender_left_.NotifyOne();
  return false;
}

void StoreConnection::GiveRolesBack() {
  {
    const MutexLock lock(send_mutex_);
    somebody_sends_ = false;
  }
  sender_left_.NotifyAll();
  const MutexLock lock(mutex_);
  somebody_reads_ = false;
  changed_.NotifyAll();
}

Result<void> StoreConnection::Restore(const AwakeDeadline& deadline) {
  if (fork_guard_.InChild()) return ForkGuard::Refuse(socket_);
  if (ended()) return Closed();
  if (lost_.load(std::memory_order_acquire) || !known_) return Gone();
  const AwakeDeadline until(std::max(deadline.Left(std::chrono::hours(24)), kRestorePatienceMin));
  {
    MutexLock lock(mutex_);
    while (somebody_restores_ && !until.Passed()) changed_.Wait(mutex_, until.Next());
    if (somebody_restores_) return NotTaken();
    if (!broken()) return {};
    if (lost_.load(std::memory_order_acquire)) return Gone();
    somebody_restores_ = true;
  }
  Result<void> outcome = TakeRoles(until) ? Result<void>() : NotTaken();
  if (outcome) {
    outcome = RestoreAlone(Deadline::After(until.Left(std::chrono::hours(24))));
    GiveRolesBack();
  }
  const MutexLock lock(mutex_);
  somebody_restores_ = false;
  changed_.NotifyAll();
  return outcome;
}

// By the one thread that restores, which also has the roles of the sender and of the reader.
Result<void> StoreConnection::RestoreAlone(Deadline deadline) {
  sent_.Handled(known_->page->frames_handled.load(std::memory_order_acquire));
  std::vector<ObjectId> seals;
  for (const SentRequests::Request& request : sent_.requests())
    if (request.type == wire::StoreMessage::Seal)
      if (const auto parsed = Parse<wire::IdRequestT>(request.body)) seals.push_back(FromWire<ObjectId>(*parsed->id));
  {
    const MutexLock lock(mutex_);
    seals.insert(seals.end(), seals_.begin(), seals_.end());
  }
  auto connection = ConnectAgain(socket_, *known_, seals, deadline, unanswered_);
  if (!connection) {
    if (connection.error().code == ErrorCode::kTimedOut) {
      // Objects in the store can be read meanwhile.
      next_look_ms_.store(CoarseNowMs() + kLookPeriodMs, std::memory_order_relaxed);
      return NotTaken();
    }
    lost_.store(true, std::memory_order_release);
    return Gone();
  }
  std::deque<SentRequests::Request> requests = sent_.TakeAll();
  for (SentRequests::Request& request : requests) {
    // The server asked to go on may die, too: what it was sent counts as sent, and is sent again.
    static_cast<void>(connection->Send(static_cast<uint16_t>(request.type), 0, request.body, deadline));
    sent_.Sent(request.type, std::move(request.body));
  }
  frames_sent_.store(requests.size(), std::memory_order_release);
  const MutexLock lock(mutex_);
  sent_before_ += connection_.bytes_sent();
  received_before_ += connection_.bytes_received();
  closed_in_children_ = ClosedInChildren();
  connection_ = *std::move(connection);
  closed_in_children_ = ClosedInChildren(connection_.fd());
  unanswered_.clear();
  restored_.fetch_add(1, std::memory_order_release);
  next_look_ms_.store(CoarseNowMs() + kLookPeriodMs, std::memory_order_relaxed);
  broken_.store(false, std::memory_order_release);
  return {};
}

Result<std::optional<Frame>> StoreConnection::ReadOne(Deadline deadline) {
  if (broken()) return Gone();
  Result<std::optional<Frame>> frame;
  const auto arrived = [&] {
    frame = connection_.Receive(Deadline::AfterMs(0));
    return !frame || frame->has_value();
  };
  if (SpinUntil(Deadline::After(deadline.Left(kReplySpin)).at(), arrived, /*looks_per_yield=*/1)) return frame;
  return connection_.Receive(deadline);
}

}  // namespace raylet::client
