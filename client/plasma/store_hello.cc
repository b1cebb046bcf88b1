#include "client/plasma/store_hello.h"

#include <unistd.h>

#include <utility>

#include "base/process_start.h"
#include "base/strings.h"
#include "client/plasma/no_store.h"
#include "fbs/messages.h"

namespace raylet::client {

namespace {

constexpr size_t kHelloFds = 4;

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

}  // namespace

Result<FrameConnection> ConnectToStore(const std::string& socket, const StoreGreeting& greeting, Deadline deadline,
                                       bool retry, StoreWelcome& welcome) {
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
  if (!frame) return failed(frame.error());
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

}  // namespace raylet::client
