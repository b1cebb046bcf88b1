#include "client/plasma/reconnection.h"

#include <utility>

#include "base/strings.h"
#include "client/plasma/store_hello.h"

namespace raylet::client {

Result<FrameConnection> ConnectAgain(const std::string& socket, const KnownClient& client,
                                     std::span<const ObjectId> seals, Deadline deadline,
                                     std::vector<FrameConnection>& unanswered, bool tell_owned) {
  for (;;) {
    StoreWelcome welcome;
    StoreGreeting greeting;
    greeting.again = client.number;
    greeting.ticket = client.page->ticket;
    greeting.seals = seals;
    greeting.tell_owned = tell_owned;
    greeting.unanswered = &unanswered;
    auto connection = ConnectToStore(socket, greeting, deadline, /*retry=*/false, welcome);
    if (connection) return connection;
    const ErrorCode code = connection.error().code;
    // A server that dies while it greets us closes the connection, or resets it. The next one answers.
    const bool may_come = code == ErrorCode::kDisconnected || code == ErrorCode::kIo || code == ErrorCode::kLimit ||
                          code == ErrorCode::kFull || code == ErrorCode::kTimedOut;
    if (!may_come) return connection;
    if (deadline.Passed()) return Fail(ErrorCode::kTimedOut, std::move(connection).error().message);
    PauseBeforeTheNextTry();
  }
}

}  // namespace raylet::client
