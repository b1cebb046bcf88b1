#include "client/plasma/store_hello.h"

#include <time.h>
#include <unistd.h>

#include <chrono>
#include <utility>

#include "base/process_start.h"
#include "base/strings.h"
#include "client/plasma/no_store.h"
#include "fbs/messages.h"

namespace raylet::client {

namespace {

constexpr size_t kHelloFds = 4;
// A server that dies in the middle of a greeting has a successor within a second. Somebody else at this path, who hangs
// up again and again, has none.
constexpr std::chrono::seconds kSuccessorPatience{5};

Result<Frame> Hello(FrameConnection& connection, const StoreGreeting& greeting, Deadline deadline) {
  wire::StoreHelloT hello;
  hello.magic = kStoreMagic;
  hello.version_min = kStoreProtocolMin;
  hello.version_max = kStoreProtocolMax;
  hello.build = kBuild;
  hello.pid = ::getpid();
  hello.name = greeting.name;
  hello.heir = greeting.heir;
  hello.again = greeting.again;
  hello.ticket = greeting.ticket;
  hello.tell_owned = greeting.tell_owned;
  for (const ObjectId& id : greeting.seals) hello.seals.push_back(ToWire(id));
  auto frame = connection.Greet(static_cast<uint16_t>(wire::StoreMessage::Hello), 1, Encode(hello), deadline);
  if (frame && static_cast<wire::StoreMessage>(frame->header.type) != wire::StoreMessage::HelloReply)
    return Fail(ErrorCode::kProtocolError, StrCat("Hello was answered by a message of type ", frame->header.type));
  return frame;
}

// `cut_off`: the connection ended before its first answer.
Result<FrameConnection> ConnectOnce(const std::string& socket, const StoreGreeting& greeting, Deadline deadline,
                                    bool retry, StoreWelcome& welcome, bool& cut_off) {
  Result<FrameConnection> connection;
  const auto failed = [&](const Error& error) {
    if (greeting.unanswered != nullptr && connection) greeting.unanswered->push_back(*std::move(connection));
    return Fail(error.code, StrCat("cannot connect to the store at ", socket, ": ", error.message));
  };
  OpenStandardDescriptors();
  connection = FrameConnection::Connect(socket, deadline, retry);
  if (!connection) {
    if (connection.error().code == ErrorCode::kNotRunning) return NoStoreServes(socket);
    return failed(connection.error());
  }
  const auto frame = Hello(*connection, greeting, deadline);
  if (!frame) {
    cut_off = frame.error().code == ErrorCode::kDisconnected || frame.error().code == ErrorCode::kIo;
    return failed(frame.error());
  }
  const auto reply = Parse<wire::StoreHelloReplyT>(frame->body);
  if (!reply) return failed(reply.error());
  if (const auto status = FromStatus(*reply->status); !status) return failed(status.error());

  std::vector<UniqueFd>& fds = connection->fds();
  if (reply->version < kStoreProtocolMin || reply->version > kStoreProtocolMax || reply->client == 0 ||
      fds.size() != kHelloFds) {
    return failed(
        {ErrorCode::kProtocolError, StrCat("it says version ", reply->version, ", client ", reply->client,
                                           " and sends ", fds.size(), " descriptors instead of ", kHelloFds)});
  }
  welcome.client = reply->client;
  welcome.arena_bytes = reply->arena_bytes;
  welcome.capacity_bytes = reply->capacity_bytes;
  welcome.arena_read_only = std::move(fds[0]);
  welcome.writing = std::move(fds[1]);
  welcome.writing_offset = reply->writing_offset;
  welcome.index = std::move(fds[2]);
  welcome.pins = std::move(fds[3]);
  fds.clear();
  return connection;
}

}  // namespace

void PauseBeforeTheNextTry() {
  constexpr timespec kPause{0, 2'000'000};
  ::nanosleep(&kPause, nullptr);
}

Result<FrameConnection> ConnectToStore(const std::string& socket, const StoreGreeting& greeting, Deadline deadline,
                                       bool retry, StoreWelcome& welcome) {
  for (const Deadline successor = Deadline::After(kSuccessorPatience);;) {
    bool cut_off = false;
    auto connection = ConnectOnce(socket, greeting, deadline, retry, welcome, cut_off);
    // A client that connects again has a loop of its own (ConnectAgain).
    if (connection || !cut_off || greeting.again != 0 || deadline.Passed() || successor.Passed()) return connection;
    PauseBeforeTheNextTry();
  }
}

}  // namespace raylet::client
