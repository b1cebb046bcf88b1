#include "raylet/objects/restorer.h"

#include <chrono>
#include <utility>

namespace raylet {
namespace {

constexpr std::chrono::seconds kDiskPatience{10};  // for one object

}  // namespace

void Restorer::Get(const ObjectId& object, Done done) {
  if (!thread_) thread_.emplace();
  thread_->loop().Post(
      [object, done = std::move(done), store = store_, &loop = loop_, life = std::weak_ptr<int>(life_)] {
        if (life.expired()) return;
        // A std::function needs captures that can be copied.
        const auto restored = std::make_shared<Restored>(store->GetHere(object, Deadline::After(kDiskPatience)));
        loop.Post([done, restored, life] {
          if (!life.expired()) done(std::move(*restored));
        });
      });
}

}  // namespace raylet
