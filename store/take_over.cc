#include "store/take_over.h"

#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/frame_connection.h"
#include "base/log.h"
#include "base/strings.h"
#include "base/unix_socket.h"
#include "fbs/segment_layout.h"

namespace raylet::store {
namespace {

constexpr int64_t kAnswerPatienceMs = 10'000;  // of the newer one, with the older
constexpr int64_t kTakePatienceMs = 5'000;     // of the older one, which serves nobody meanwhile

Result<KeepMessage> AwaitKept(int channel, std::vector<UniqueFd>& fds, int64_t patience_ms) {
  const Deadline deadline = Deadline::AfterMs(patience_ms);
  for (;;) {
    auto message = ReceiveKept(channel, fds);
    if (message || message.error().code != ErrorCode::kTimedOut) return message;
    const auto readable = WaitReadable(channel, deadline);
    if (!readable) return Fail(readable.error());
    if (!*readable) return Fail(ErrorCode::kTimedOut, "the other plasma_store does not answer");
  }
}

Result<void> CheckFacts(const wire::TakeOverReplyT& reply, const StoreFacts& wanted) {
  if (reply.layout_version != kLayoutVersion)
    return Fail(ErrorCode::kVersionMismatch,
                StrCat("its objects lie in layout ", reply.layout_version, " of plasma_store ", reply.build,
                       ", and this one, ", kBuild, ", knows layout ", kLayoutVersion, ": stop it, and start this one"));
  if (wanted.capacity_bytes != 0 && reply.capacity_bytes != wanted.capacity_bytes)
    return Fail(ErrorCode::kInvalid, StrCat("it has ", reply.capacity_bytes, " bytes, and -m says ",
                                            wanted.capacity_bytes, ": leave -m out"));
  if (reply.strict != wanted.strict)
    return Fail(ErrorCode::kInvalid, StrCat("it runs with --isolation=", reply.strict ? "strict" : "user",
                                            ", and its clients have their access already: say the same"));
  if (reply.spill_folder != wanted.spill_folder)
    return Fail(ErrorCode::kInvalid,
                reply.spill_folder.empty()
                    ? "it does not spill, and so this one may not: leave --spill-dir or -e out"
                    : StrCat("objects of it lie in ", reply.spill_folder, ": say the same --spill-dir or -e"));
  return {};
}

}  // namespace

Result<TakenOver> TakeOver(const std::string& socket, const StoreFacts& wanted) {
  const auto failed = [&](const Error& why) {
    return Fail(why.code, StrCat("cannot take over the store at ", socket, ": ", why.message));
  };
  const Deadline deadline = Deadline::AfterMs(kAnswerPatienceMs);
  auto connection = FrameConnection::Connect(socket, deadline, /*retry=*/false);
  if (!connection) return failed(connection.error());
  wire::TakeOverRequestT request;
  request.magic = kStoreMagic;
  request.layout_version = kLayoutVersion;
  request.build = kBuild;
  const auto frame =
      connection->Greet(static_cast<uint16_t>(wire::StoreMessage::TakeOver), 1, Encode(request), deadline);
  if (!frame) return failed(frame.error());
  if (static_cast<wire::StoreMessage>(frame->header.type) != wire::StoreMessage::TakeOverReply)
    return failed({ErrorCode::kVersionMismatch, "it is of a release that hands nothing over: stop it, and start this"});
  const auto reply = Parse<wire::TakeOverReplyT>(frame->body);
  if (!reply) return failed(reply.error());
  if (const auto status = FromStatus(*reply->status); !status) return failed(status.error());
  if (const auto fits = CheckFacts(*reply, wanted); !fits) return failed(fits.error());
  if (connection->fds().size() != 1) return failed({ErrorCode::kProtocolError, "it sends no descriptor"});
  const UniqueFd channel = std::move(connection->fds().front());
  // The end of the channel comes a moment before the locks of the server's files go.
  const auto server = GetPeerCredentials(channel.get());
  const UniqueFd server_end(server ? static_cast<int>(::syscall(SYS_pidfd_open, server->pid, 0)) : -1);

  TakenOver taken{.capacity_bytes = reply->capacity_bytes, .kept = {}};
  if (const auto asked = SendKept(channel.get(), {KeepWhat::kTake}); !asked) return failed(asked.error());
  for (;;) {
    std::vector<UniqueFd> fds;
    const auto message = AwaitKept(channel.get(), fds, kAnswerPatienceMs);
    if (!message) return failed(message.error());
    if (message->what == KeepWhat::kAll) {
      if (!taken.kept.listening || taken.kept.clients.size() != message->value)
        return failed({ErrorCode::kProtocolError, "not all of its descriptors have come: raise ulimit -n"});
      break;
    }
    Apply(taken.kept, *message, std::move(fds));
  }
  if (const auto told = SendKept(channel.get(), {KeepWhat::kTaken}); !told) return failed(told.error());
  std::vector<UniqueFd> fds;
  const auto end = AwaitKept(channel.get(), fds, kAnswerPatienceMs);
  if (end || end.error().code != ErrorCode::kDisconnected)
    return failed({ErrorCode::kTimedOut, "its server gave everything away, and does not end: kill it"});
  if (server_end) static_cast<void>(WaitReadable(server_end.get(), Deadline::AfterMs(kAnswerPatienceMs)));
  return taken;
}

wire::TakeOverReplyT HandOver::Answer(const wire::TakeOverRequestT& request, UniqueFd& channel) {
  wire::TakeOverReplyT reply;
  reply.status = OkStatus();
  reply.layout_version = kLayoutVersion;
  reply.build = kBuild;
  reply.capacity_bytes = facts_.capacity_bytes;
  reply.strict = facts_.strict;
  reply.spill_folder = facts_.spill_folder;
  int ends[2];
  if (request.magic != kStoreMagic) {
    reply.status = MakeWireStatus({ErrorCode::kProtocolError, "a TakeOver with another magic"});
  } else if (request.layout_version != kLayoutVersion) {
    reply.status = MakeWireStatus(
        {ErrorCode::kVersionMismatch,
         StrCat("its objects lie in layout ", kLayoutVersion, " of plasma_store ", kBuild, ", and plasma_store ",
                request.build, " knows layout ", request.layout_version, ": stop the one, and start the other")});
  } else if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) {
    reply.status = MakeWireStatus({ErrorCode::kLimit, "it has no descriptor for that: raise its ulimit -n"});
  } else {
    watcher_.Cancel();
    channel_ = UniqueFd(ends[0]);
    channel = UniqueFd(ends[1]);
    watcher_ = FdWatcher(loop_, channel_.get(), [this](FdWatcher::Events) { Read(); });
    watcher_.Watch({.readable = true});
  }
  return reply;
}

void HandOver::Read() {
  std::vector<UniqueFd> fds;
  const auto message = ReceiveKept(channel_.get(), fds);
  if (!message && message.error().code == ErrorCode::kTimedOut) return;
  Result<void> given = Fail(ErrorCode::kDisconnected, "the newer plasma_store has gone");
  if (message && message->what == KeepWhat::kTake) given = Give();
  if (given) return end_();
  RAYLET_LOG(kWarning, "this plasma_store serves on, since it was not taken over: ", given.error().message);
  watcher_.Cancel();
  channel_.Reset();
}

// The loop stands still from the first descriptor to the last word: nothing changes any more.
Result<void> HandOver::Give() {
  RAYLET_RETURN_IF_ERROR(give_(channel_.get()));
  std::vector<UniqueFd> fds;
  const auto answer = AwaitKept(channel_.get(), fds, kTakePatienceMs);
  if (!answer) return Fail(answer.error());
  if (answer->what != KeepWhat::kTaken) return Fail(ErrorCode::kProtocolError, "the newer plasma_store says nonsense");
  return {};
}

}  // namespace raylet::store
