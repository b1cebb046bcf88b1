#include "client/ray/cluster/raylet_client.h"

#include <sys/socket.h>

#include <condition_variable>
#include <new>
#include <utility>

#include "base/process_start.h"
#include "base/strings.h"
#include "fbs/last_word.h"

namespace raylet::client {
namespace {

constexpr Duration kSendPatience = std::chrono::seconds(30);
constexpr int kFramesPerRing = 64;  // that came together: one wake for all of them

uint16_t TypeNumber(wire::RayletMessage type) { return static_cast<uint16_t>(type); }

}  // namespace

Result<std::unique_ptr<RayletClient>> RayletClient::Connect(const std::string& socket, wire::RegisterRequestT request,
                                                            Deadline deadline) {
  auto connection = FrameConnection::Connect(socket, deadline, /*retry=*/false);
  if (!connection) {
    if (connection.error().code != ErrorCode::kNotRunning) return Fail(std::move(connection).error());
    return Fail(ErrorCode::kNotRunning,
                StrCat("no raylet serves ", socket, ": start one with `raylet --socket ", socket,
                       " --store-socket STORE_SOCKET`, beside a `plasma_store -m 1G -s STORE_SOCKET`"));
  }
  auto bell_fd = CreateMemfd("raylet-doorbell", kDoorbellPageBytes, /*reserve=*/true);
  if (!bell_fd) return Fail(std::move(bell_fd).error());
  auto bell = Mapping::Map(bell_fd->get(), kDoorbellPageBytes, Mapping::Access::kReadWrite);
  if (!bell) return Fail(std::move(bell).error());
  new (bell->data()) Doorbell();

  request.magic = kRayletMagic;
  request.version_min = kRayletProtocolMin;
  request.version_max = kRayletProtocolMax;
  request.build = kBuild;
  const int fds[] = {bell_fd->get()};
  RAYLET_RETURN_IF_ERROR(
      connection->Send(TypeNumber(wire::RayletMessage::Register), 1, Encode(request), deadline, fds));
  auto frame = connection->Receive(deadline);
  if (!frame)
    return Fail(frame.error().code, StrCat("the raylet at ", socket, " did not register us: ", frame.error().message));
  if (!frame->has_value())
    return Fail(ErrorCode::kTimedOut, StrCat("the raylet at ", socket, " did not answer in time"));
  if ((*frame)->header.type == TypeNumber(wire::RayletMessage::StatusReply)) {
    const auto status = Parse<wire::StatusReplyT>((*frame)->body);
    if (status) RAYLET_RETURN_IF_ERROR(FromStatus(*status->status));
  }
  if ((*frame)->header.type != TypeNumber(wire::RayletMessage::RegisterReply))
    return Fail(ErrorCode::kProtocolError, StrCat("what serves ", socket,
                                                  " is no raylet: it answered with a message of "
                                                  "type ",
                                                  (*frame)->header.type));
  auto reply = Parse<wire::RegisterReplyT>((*frame)->body);
  if (!reply) return Fail(std::move(reply).error());
  RAYLET_RETURN_IF_ERROR(FromStatus(*reply->status));
  if (reply->process == 0)
    return Fail(ErrorCode::kProtocolError, StrCat("the raylet at ", socket, " gave us no number"));

  std::unique_ptr<RayletClient> client(new RayletClient());
  client->socket_ = socket;
  client->connection_ = *std::move(connection);
  client->closed_in_children_ = ClosedInChildren(client->connection_.fd());
  client->doorbell_ = *std::move(bell);
  client->registration_ = *std::move(reply);
  client->last_request_ = 1;
  return client;
}

RayletClient::~RayletClient() { Stop(); }

void RayletClient::Start(Handler& handler) {
  handler_ = &handler;
  const SignalsBlocked blocked;
  io_thread_ = std::thread([this] { Run(); });
}

void RayletClient::Stop() {
  ::shutdown(connection_.fd(), SHUT_RDWR);  // the io thread reads the end
  if (io_thread_.joinable()) io_thread_.join();
  // Now and not with this object, which stays as long as the program: handles may outlive Shutdown. In a forked child
  // whoever held the lock does not exist.
  const std::unique_lock lock(send_mutex_, std::try_to_lock);
  if (!lock) return;
  closed_in_children_ = ClosedInChildren();
  connection_ = FrameConnection();
}

void RayletClient::Run() {
  for (int unrung = 0;;) {
    auto frame = connection_.Receive(Deadline::Never());
    if (!frame || !frame->has_value()) {
      return Break(WhyItEnded(frame ? std::string() : StrCat(" (", frame.error().message, ")")));
    }
    const uint64_t request = (*frame)->header.request_id;
    ReplyHandler handler;
    if (request != 0) {
      const std::lock_guard lock(mutex_);
      if (const auto waiting = waiting_.find(request); waiting != waiting_.end()) {
        handler = std::move(waiting->second);
        waiting_.erase(waiting);
      }
    }
    if (handler)
      handler(**std::move(frame), connection_.fds());
    else if (handler_ != nullptr)
      handler_->OnMessage(**frame, connection_.fds());
    if (++unrung < kFramesPerRing && connection_.HasReceived()) continue;
    unrung = 0;
    Ring(doorbell());
  }
}

Error RayletClient::WhyItEnded(const std::string& how) const {
  if (auto word = ReadLastWord({doorbell_.data(), doorbell_.size()}))
    return {word->code,
            StrCat("the raylet at ", socket_, " has ended the connection of this process: ", word->message)};
  return {ErrorCode::kDisconnected, StrCat("the raylet at ", socket_, " is gone", how)};
}

void RayletClient::Break(Error why) {
  std::unordered_map<uint64_t, ReplyHandler> waiting;
  {
    const std::lock_guard lock(mutex_);
    why_gone_ = why;
    gone_.store(true, std::memory_order_release);
    waiting.swap(waiting_);
  }
  std::vector<UniqueFd> none;
  for (auto& [request, handler] : waiting) handler(Fail(why), none);
  if (handler_ != nullptr) handler_->OnRayletGone();
  Ring(doorbell());
}

Error RayletClient::WhyGone() const {
  const std::lock_guard lock(mutex_);
  return why_gone_;
}

Result<void> RayletClient::SendBytes(wire::RayletMessage type, uint64_t request_id, std::span<const std::byte> body) {
  if (Gone()) return Fail(WhyGone());
  if (body.size() > kRayletBodyBytesMax) {
    return Fail(ErrorCode::kTooLarge, StrCat("a message of ", FormatBytes(body.size()), " for the raylet; at most ",
                                             FormatBytes(kRayletBodyBytesMax), " go in one"));
  }
  const std::lock_guard lock(send_mutex_);
  return connection_.Send(TypeNumber(type), request_id, body, Deadline::After(kSendPatience));
}

void RayletClient::Request(wire::RayletMessage type, std::span<const std::byte> body, ReplyHandler handler) {
  uint64_t request = 0;
  {
    const std::lock_guard lock(mutex_);
    if (!gone_.load(std::memory_order_relaxed)) {
      request = ++last_request_;
      waiting_.emplace(request, handler);
    }
  }
  std::vector<UniqueFd> none;
  if (request == 0) return handler(Fail(WhyGone()), none);
  const auto sent = SendBytes(type, request, body);
  if (sent) return;
  {
    const std::lock_guard lock(mutex_);
    if (waiting_.erase(request) == 0) return;  // the io thread has told it already
  }
  handler(Fail(sent.error()), none);
}

Result<Frame> RayletClient::Call(wire::RayletMessage type, std::span<const std::byte> body, Deadline deadline) {
  struct Answer {
    std::mutex mutex;
    std::condition_variable changed;
    std::optional<Result<Frame>> frame;
  };
  const auto answer = std::make_shared<Answer>();  // the reply may come after we gave up
  Request(type, body, [answer](Result<Frame> frame, std::vector<UniqueFd>&) {
    const std::lock_guard lock(answer->mutex);
    answer->frame = std::move(frame);
    answer->changed.notify_all();
  });
  std::unique_lock lock(answer->mutex);
  const auto done = [&] { return answer->frame.has_value(); };
  while (!done() && !deadline.Passed())
    answer->changed.wait_for(lock, deadline.Left(std::chrono::milliseconds(100)), done);
  if (!done()) return Fail(ErrorCode::kTimedOut, StrCat("the raylet at ", socket_, " did not answer in time"));
  return *std::move(answer->frame);
}

}  // namespace raylet::client
