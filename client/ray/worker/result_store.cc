#include "client/ray/worker/result_store.h"

#include <ctime>

#include "base/strings.h"

namespace raylet::client {
namespace {

constexpr Duration kWriterEndsPatience = std::chrono::seconds(10);
constexpr timespec kWriterEndsPause{0, 1'000'000};

}  // namespace

Result<void> StoreResult(StoreAccess& store, const ObjectId& id, const ValueBytes& value, std::string_view metadata,
                         uint32_t owner_client) {
  const Deadline deadline = Deadline::After(kWriterEndsPatience);
  for (;;) {
    auto stored = store.Write(id, value, metadata, owner_client);
    if (stored || stored.error().code != ErrorCode::kAlreadyExists) return stored;
    if (deadline.Passed())
      return Fail(stored.error().code,
                  StrCat("another process has been writing it for ", kWriterEndsPatience / std::chrono::seconds(1),
                         " s: look for a worker that hangs: ", stored.error().message));
    const auto deleted = store.DeleteHere(id);
    if (!deleted) return Fail(deleted.error());
    // Unsealed: the store aborts it once it sees that its writer has gone.
    if (*deleted == ErrorCode::kWrongState) ::nanosleep(&kWriterEndsPause, nullptr);
  }
}

}  // namespace raylet::client
