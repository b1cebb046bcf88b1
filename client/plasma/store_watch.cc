#include "client/plasma/store_watch.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "base/frame_connection.h"
#include "base/shm_segment.h"
#include "base/strings.h"
#include "client/plasma/fork_guard.h"
#include "client/plasma/reconnection.h"
#include "client/plasma/store_hello.h"
#include "fbs/id_lists.h"

namespace raylet::client {

namespace {
constexpr size_t kIdsPerRequest = 16384;
constexpr Duration kSendPatience = std::chrono::seconds(5);
}  // namespace

struct StoreWatch::State {
  State(FrameConnection open, std::string path, uint32_t number, Mapping pin_page)
      : socket(std::move(path)),
        client(number),
        pins(std::move(pin_page)),
        connection(std::move(open)),
        closed_in_children(connection.fd()) {}
  // The error, with the name of this connection.
  tl::unexpected<Error> Failed(const Error& error) const {
    return Fail(error.code == ErrorCode::kIo ? ErrorCode::kDisconnected : error.code,
                StrCat("the store at ", socket, ": ", error.message));
  }

  Result<void> Ask(wire::StoreMessage type, std::span<const ObjectId> ids);
  Result<void> Take(const Frame& frame, News& news);

  struct Asked {
    wire::StoreMessage type;
    std::vector<ObjectId> ids;
  };
  const std::string socket;
  const uint32_t client;
  const Mapping pins;
  std::vector<FrameConnection> unanswered;
  const ForkGuard fork_guard;
  FrameConnection connection;
  ClosedInChildren closed_in_children;
  uint64_t next_request = 1'000'000;          // above the request ids of the Hello
  std::unordered_map<uint64_t, Asked> asked;  // without an answer yet
  size_t unanswered_ids = 0;                  // in `asked`
};

StoreWatch::StoreWatch(std::unique_ptr<State> state) : state_(std::move(state)) {}
StoreWatch::~StoreWatch() = default;

Result<std::unique_ptr<StoreWatch>> StoreWatch::Connect(const std::string& socket, const std::string& name,
                                                        Deadline deadline, bool retry) {
  StoreWelcome welcome;
  auto connection = ConnectToStore(socket, {.name = name}, deadline, retry, welcome);
  if (!connection) return Fail(std::move(connection).error());
  auto pins = Mapping::Map(welcome.pins.get(), PinPageBytes(), Mapping::Access::kReadWrite);
  if (!pins) return Fail(pins.error());
  return std::unique_ptr<StoreWatch>(
      new StoreWatch(std::make_unique<State>(*std::move(connection), socket, welcome.client, *std::move(pins))));
}

int StoreWatch::fd() const { return state_->connection.fd(); }
uint32_t StoreWatch::client_number() const { return state_->client; }

Result<void> StoreWatch::Watch(std::span<const ObjectId> ids) { return state_->Ask(wire::StoreMessage::Watch, ids); }
Result<void> StoreWatch::Unwatch(std::span<const ObjectId> ids) {
  return state_->Ask(wire::StoreMessage::Unwatch, ids);
}

Result<void> StoreWatch::DeleteMadeBy(uint32_t client, std::span<const ObjectId> ids) {
  if (state_->fork_guard.InChild()) return ForkGuard::Refuse(state_->socket);
  wire::DeleteMadeByRequestT request;
  request.client = client;
  for (const ObjectId& id : ids) request.ids.push_back(ToWire(id));
  const auto sent = state_->connection.Send(static_cast<uint16_t>(wire::StoreMessage::DeleteMadeBy), 0, Encode(request),
                                            Deadline::After(kSendPatience));
  if (!sent) return state_->Failed(sent.error());
  return {};
}

Result<void> StoreWatch::State::Ask(wire::StoreMessage type, std::span<const ObjectId> ids) {
  if (fork_guard.InChild()) return ForkGuard::Refuse(socket);
  for (; !ids.empty(); ids = ids.subspan(std::min(ids.size(), kIdsPerRequest))) {
    const auto piece = ids.first(std::min(ids.size(), kIdsPerRequest));
    wire::IdsRequestT request;
    for (const ObjectId& id : piece) request.ids.push_back(ToWire(id));
    asked.emplace(next_request, Asked{type, {piece.begin(), piece.end()}});
    unanswered_ids += piece.size();
    const auto sent =
        connection.Send(static_cast<uint16_t>(type), next_request++, Encode(request), Deadline::After(kSendPatience));
    if (!sent) return Failed(sent.error());
  }
  return {};
}

Result<void> StoreWatch::State::Take(const Frame& frame, News& news) {
  const auto type = static_cast<wire::StoreMessage>(frame.header.type);
  if (type == wire::StoreMessage::Sealed) {
    const auto notice = Parse<wire::SealedNoticeT>(frame.body);
    if (!notice) return Failed(notice.error());
    news.sealed.push_back(FromWire<ObjectId>(*notice->id));
    return {};
  }
  if (type == wire::StoreMessage::Inherited) {
    const auto notice = Parse<wire::InheritedNoticeT>(frame.body);
    if (!notice) return Failed(notice.error());
    news.inherited.push_back({.client = notice->client, .ids = FromWire(notice->ids), .last = notice->last});
    return {};
  }
  if (type != wire::StoreMessage::StatusReply) return {};
  const auto reply = Parse<wire::StatusReplyT>(frame.body);
  if (!reply) return Failed(reply.error());
  const auto answered = asked.find(frame.header.request_id);
  if (answered == asked.end()) return {};
  const Asked request = std::move(answered->second);
  asked.erase(answered);
  unanswered_ids -= request.ids.size();
  if (request.type == wire::StoreMessage::Unwatch) {
    news.unwatched.insert(news.unwatched.end(), request.ids.begin(), request.ids.end());
  } else if (reply->status->code != 0) {
    news.refused.insert(news.refused.end(), request.ids.begin(), request.ids.end());
    news.why_refused = reply->status->message;
  }
  return {};
}

Result<void> StoreWatch::ConnectAgain(Deadline deadline) {
  if (state_->fork_guard.InChild()) return ForkGuard::Refuse(state_->socket);
  auto connection = client::ConnectAgain(state_->socket, {state_->client, state_->pins.As<PinPage>()}, {}, deadline,
                                         state_->unanswered, /*tell_owned=*/true);
  if (!connection) return Fail(connection.error());
  state_->closed_in_children = ClosedInChildren();
  state_->connection = *std::move(connection);
  state_->closed_in_children = ClosedInChildren(state_->connection.fd());
  state_->asked.clear();
  state_->unanswered.clear();
  state_->unanswered_ids = 0;
  return {};
}

Result<StoreWatch::News> StoreWatch::TryRead() {
  if (state_->fork_guard.InChild()) return ForkGuard::Refuse(state_->socket);
  News news;
  for (size_t i = 0; i < kNoticesPerRead; ++i) {
    const auto frame = state_->connection.Receive(Deadline::AfterMs(0));
    if (!frame) {
      if (!news.empty()) return news;  // the next call returns the error
      return state_->Failed(frame.error());
    }
    if (!frame->has_value()) return news;
    if (const auto taken = state_->Take(**frame, news); !taken) return Fail(taken.error());
  }
  return news;
}

bool StoreWatch::HasMore() const { return state_->connection.HasReceived(); }
size_t StoreWatch::unanswered() const { return state_->unanswered_ids; }

}  // namespace raylet::client
