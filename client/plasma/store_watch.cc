#include "client/plasma/store_watch.h"

#include <utility>

#include "base/frame_connection.h"
#include "base/strings.h"
#include "client/plasma/fork_guard.h"
#include "client/plasma/store_connection.h"

namespace raylet::client {

namespace {
constexpr size_t kIdsPerRequest = 16384;
constexpr Duration kSendPatience = std::chrono::seconds(5);
}  // namespace

struct StoreWatch::State {
  State(FrameConnection open, std::string path, uint32_t number)
      : socket(std::move(path)), client(number), connection(std::move(open)), closed_in_children(connection.fd()) {}
  // What failed, in the words of this connection.
  tl::unexpected<Error> Failed(const Error& error) const {
    return Fail(error.code == ErrorCode::kIo ? ErrorCode::kDisconnected : error.code,
                StrCat("the store at ", socket, ": ", error.message));
  }

  const std::string socket;
  const uint32_t client;
  const ForkGuard fork_guard;
  FrameConnection connection;
  ClosedInChildren closed_in_children;
};

StoreWatch::StoreWatch(std::unique_ptr<State> state) : state_(std::move(state)) {}
StoreWatch::~StoreWatch() = default;

Result<std::unique_ptr<StoreWatch>> StoreWatch::Connect(const std::string& socket, const std::string& name,
                                                        Deadline deadline, bool retry) {
  StoreWelcome welcome;
  auto connection = ConnectToStore(socket, name, deadline, retry, welcome);
  if (!connection) return Fail(std::move(connection).error());
  return std::unique_ptr<StoreWatch>(
      new StoreWatch(std::make_unique<State>(*std::move(connection), socket, welcome.client)));
}

int StoreWatch::fd() const { return state_->connection.fd(); }
uint32_t StoreWatch::client_number() const { return state_->client; }

Result<void> StoreWatch::Watch(std::span<const ObjectId> ids) {
  if (state_->fork_guard.InChild()) return ForkGuard::Refuse(state_->socket);
  while (!ids.empty()) {
    const auto piece = ids.first(std::min(ids.size(), kIdsPerRequest));
    wire::IdsRequestT request;
    for (const ObjectId& id : piece) request.ids.push_back(ToWire(id));
    const auto sent = state_->connection.Send(static_cast<uint16_t>(wire::StoreMessage::Watch), 0, Encode(request),
                                              Deadline::After(kSendPatience));
    if (!sent) return state_->Failed(sent.error());
    ids = ids.subspan(piece.size());
  }
  return {};
}

Result<std::vector<ObjectId>> StoreWatch::TryReadSealed() {
  if (state_->fork_guard.InChild()) return ForkGuard::Refuse(state_->socket);
  std::vector<ObjectId> sealed;
  for (;;) {
    const auto frame = state_->connection.Receive(Deadline::AfterMs(0));
    if (!frame) {
      if (!sealed.empty()) return sealed;  // the next call says it
      return state_->Failed(frame.error());
    }
    if (!frame->has_value()) return sealed;
    if (static_cast<wire::StoreMessage>((*frame)->header.type) != wire::StoreMessage::Sealed) continue;
    const auto notice = Parse<wire::SealedNoticeT>((*frame)->body);
    if (!notice) return state_->Failed(notice.error());
    sealed.push_back(FromWire<ObjectId>(*notice->id));
  }
}

}  // namespace raylet::client
