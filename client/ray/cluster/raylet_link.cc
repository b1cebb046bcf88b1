#include "client/ray/cluster/raylet_link.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <new>
#include <optional>
#include <utility>

#include <ray/api/exceptions.h>

#include "base/process_start.h"
#include "base/strings.h"
#include "client/ray/cluster/awaited.h"
#include "fbs/last_word.h"

extern char** environ;

namespace raylet::client {
namespace {

constexpr int kFramesPerRing = 64;  // that came together: one wake for all of them

uint16_t TypeNumber(wire::RayletMessage type) { return static_cast<uint16_t>(type); }

std::vector<std::string> OwnArguments() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  const std::string all{std::istreambuf_iterator<char>(file), {}};
  std::vector<std::string> arguments;
  for (size_t at = 0; at < all.size();) {
    const size_t end = std::min(all.find('\0', at), all.size());
    arguments.push_back(all.substr(at, end - at));
    at = end + 1;
  }
  return arguments;
}

std::string OwnExecutable() {
  char path[4096];
  const ssize_t size = ::readlink("/proc/self/exe", path, sizeof path);
  return size > 0 ? std::string(path, static_cast<size_t>(size)) : std::string();
}

std::string WorkingFolder() {
  char path[4096];
  return ::getcwd(path, sizeof path) != nullptr ? std::string(path) : std::string("/");
}

// A driver's workers start as it did: with its program, arguments, environment and folder.
wire::RegisterRequestT RequestOf(const RayletLink::Options& options) {
  wire::RegisterRequestT request;
  request.magic = kRayletMagic;
  request.version_min = kRayletProtocolMin;
  request.version_max = kRayletProtocolMax;
  request.build = kBuild;
  request.kind = options.kind;
  request.pid = ::getpid();
  request.startup_token = options.startup_token;
  request.executable = OwnExecutable();
  request.arguments = OwnArguments();
  for (char** entry = environ; *entry != nullptr; ++entry) request.environment.emplace_back(*entry);
  request.working_directory = WorkingFolder();
  request.actor_namespace = options.actor_namespace;
  request.detached_actors = options.detached_actors;
  request.code_search_path = options.code_search_path;
  return request;
}

}  // namespace

Result<std::unique_ptr<RayletLink>> RayletLink::Connect(Options options, Deadline deadline) {
  std::unique_ptr<RayletLink> link(new RayletLink(std::move(options)));
  RAYLET_RETURN_IF_ERROR(link->Register(deadline));
  return link;
}

Result<void> RayletLink::Register(Deadline deadline) {
  const std::string& socket = options_.socket;
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

  const int fds[] = {bell_fd->get()};
  const auto frame =
      connection->Greet(TypeNumber(wire::RayletMessage::Register), 1, Encode(RequestOf(options_)), deadline, fds);
  if (!frame)
    return Fail(frame.error().code, StrCat("the raylet at ", socket, " did not register us: ", frame.error().message));
  if (frame->header.type == TypeNumber(wire::RayletMessage::StatusReply)) {
    const auto status = Parse<wire::StatusReplyT>(frame->body);
    if (status) RAYLET_RETURN_IF_ERROR(FromStatus(*status->status));
  }
  if (frame->header.type != TypeNumber(wire::RayletMessage::RegisterReply))
    return Fail(
        ErrorCode::kProtocolError,
        StrCat("what serves ", socket, " is no raylet: it answered with a message of type ", frame->header.type));
  auto reply = Parse<wire::RegisterReplyT>(frame->body);
  if (!reply) return Fail(std::move(reply).error());
  RAYLET_RETURN_IF_ERROR(FromStatus(*reply->status));
  if (reply->process == 0)
    return Fail(ErrorCode::kProtocolError, StrCat("the raylet at ", socket, " gave us no number"));
  if (reply->leases) {
    std::vector<UniqueFd>& came = connection->fds();
    if (came.empty()) return Fail(ErrorCode::kProtocolError, StrCat("the raylet at ", socket, " sent no lease page"));
    auto page = LeasePage::Attach(came.front());
    if (!page) return Fail(std::move(page).error());
    lease_page_ = *std::move(page);
    came.erase(came.begin());
  }

  connection_ = *std::move(connection);
  closed_in_children_ = ClosedInChildren(connection_.fd());
  doorbell_ = *std::move(bell);
  registration_ = *std::move(reply);
  if (IsWorker()) options_.environment = registration_.environment;
  return {};
}

RayletLink::~RayletLink() { Stop(); }

void RayletLink::Start(MessageHandler on_message, std::function<void()> on_gone) {
  on_message_ = std::move(on_message);
  on_gone_ = std::move(on_gone);
  const SignalsBlocked blocked;
  io_thread_ = std::thread([this] { Run(); });
}

bool RayletLink::Stop() {
  if (InChild()) return false;  // a child has neither the io thread nor the threads that held the locks
  if (stopped_.exchange(true, std::memory_order_acq_rel)) return false;
  if (doorbell_) Ring(doorbell());
  ::shutdown(connection_.fd(), SHUT_RDWR);  // the io thread reads the end
  if (io_thread_.joinable()) io_thread_.join();
  outbox_.Stop();  // a thread that still sends fails soon, since the socket is shut down
  // Closes the socket now, because handles may keep this object until the program ends.
  closed_in_children_ = ClosedInChildren();
  connection_ = FrameConnection();
  return true;
}

void RayletLink::CheckUsable() const {
  if (InChild())
    throw ray::internal::RayException(
        "this process was forked from the one that called ray::Init, and has no connection of its own: fork before "
        "ray::Init, or start a program");
  if (stopped_.load(std::memory_order_acquire))
    throw ray::internal::RayException("Ray has been shut down in this process: this handle refers to nothing any more");
  if (Gone()) {
    ray::internal::FailureDetails details;
    details.may_have_run = true;
    const Error why = WhyGone();
    details.hint = why.code == ErrorCode::kDisconnected
                       ? "whatever this program had under way ended with it: see in its log why it ended, start it "
                         "again, and call ray::Shutdown and ray::Init anew"
                       : "whatever this program had under way has ended: call ray::Shutdown and ray::Init anew";
    throw ray::internal::RayException(why.message, details);
  }
}

void RayletLink::Run() {
  for (int unrung = 0;;) {
    auto frame = connection_.Receive(Deadline::Never());
    if (!frame || !frame->has_value()) {
      return Break(WhyItEnded(frame ? std::string() : StrCat(" (", frame.error().message, ")")));
    }
    const uint64_t request = (*frame)->header.request_id;
    ReplyHandler handler;
    if (request != 0) {
      const MutexLock lock(mutex_);
      if (const auto waiting = waiting_.find(request); waiting != waiting_.end()) {
        handler = std::move(waiting->second);
        waiting_.erase(waiting);
      }
    }
    if (handler)
      handler(**std::move(frame), connection_.fds());
    else if (on_message_)
      on_message_(**frame, connection_.fds());
    if (++unrung < kFramesPerRing && connection_.HasReceived()) continue;
    unrung = 0;
    Ring(doorbell());
  }
}

Error RayletLink::WhyItEnded(const std::string& how) const {
  if (auto word = ReadLastWord({doorbell_.data(), doorbell_.size()}))
    return {word->code,
            StrCat("the raylet at ", options_.socket, " has ended the connection of this process: ", word->message)};
  if (const auto why = outbox_.WhyEnded())
    return {why->code, StrCat("the connection of this process to the raylet at ", options_.socket,
                              " has ended: ", why->message, ": see in the raylet's log why it stands still")};
  return {ErrorCode::kDisconnected, StrCat("the raylet at ", options_.socket, " is gone", how)};
}

void RayletLink::Break(Error why) {
  std::unordered_map<uint64_t, ReplyHandler> waiting;
  {
    const MutexLock lock(mutex_);
    why_gone_ = why;
    gone_.store(true, std::memory_order_release);
    waiting.swap(waiting_);
  }
  std::vector<UniqueFd> none;
  for (auto& [request, handler] : waiting) handler(Fail(why), none);
  if (on_gone_) on_gone_();
  Ring(doorbell());
}

Error RayletLink::WhyGone() const {
  const MutexLock lock(mutex_);
  return why_gone_;
}

Result<void> RayletLink::SendBytes(wire::RayletMessage type, uint64_t request_id, std::span<const std::byte> body) {
  RAYLET_RETURN_IF_ERROR(CheckBody(body));
  return outbox_.Send(TypeNumber(type), request_id, body, AwakeDeadline(options_.patience));
}

Result<void> RayletLink::PostEncoded(wire::RayletMessage type, std::span<const std::byte> body) {
  RAYLET_RETURN_IF_ERROR(CheckBody(body));
  return outbox_.Post(TypeNumber(type), body, AwakeDeadline(options_.patience));
}

Result<void> RayletLink::CheckBody(std::span<const std::byte> body) const {
  if (Gone()) return Fail(WhyGone());
  if (body.size() <= kRayletBodyBytesMax) return {};
  return Fail(ErrorCode::kTooLarge, StrCat("a message of ", FormatBytes(body.size()), " for the raylet; at most ",
                                           FormatBytes(kRayletBodyBytesMax), " go in one"));
}

void RayletLink::Request(wire::RayletMessage type, std::span<const std::byte> body, ReplyHandler handler) {
  uint64_t request = 0;
  {
    const MutexLock lock(mutex_);
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
    const MutexLock lock(mutex_);
    if (waiting_.erase(request) == 0) return;  // the io thread has called the handler already
  }
  handler(Fail(sent.error()), none);
}

Result<Frame> RayletLink::Call(wire::RayletMessage type, std::span<const std::byte> body) {
  const auto answer = std::make_shared<Awaited<Result<Frame>>>();  // the reply may come after we gave up
  Request(type, body, [answer](Result<Frame> frame, std::vector<UniqueFd>&) { answer->Set(std::move(frame)); });
  if (auto frame = answer->Await(patience())) return *std::move(frame);
  return Fail(ErrorCode::kTimedOut, StrCat("the raylet at ", options_.socket, " did not answer within ",
                                           std::chrono::duration_cast<std::chrono::seconds>(patience()).count(), " s"));
}

}  // namespace raylet::client
