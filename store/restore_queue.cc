#include "store/restore_queue.h"

#include <algorithm>
#include <utility>

#include "base/strings.h"

namespace raylet::store {

Result<void> RestoreQueue::Add(const Request& request, const std::vector<ObjectId>& ids) {
  if (ids.size() > kRestoreIdsMax)
    return Fail(ErrorCode::kLimit,
                StrCat("a request to restore ", ids.size(), " objects; the limit is ", kRestoreIdsMax));
  if (of_client_[request.client] >= kRestoreRequestsPerClientMax)
    return Fail(ErrorCode::kLimit, StrCat("client ", request.client, " waits for ", kRestoreRequestsPerClientMax,
                                          " requests to restore objects, the limit; wait for some of them"));
  ++of_client_[request.client];
  const uint64_t number = next_number_++;
  requests_[number] = {request, ids.size()};
  next_deadline_ = std::min(next_deadline_, request.deadline);
  for (const ObjectId& id : ids) {
    const auto [object, added] = objects_.try_emplace(id);
    object->second.requests.push_back(number);
    if (added) order_.push_back(id);
  }
  return {};
}

std::optional<ObjectId> RestoreQueue::Next() const {
  if (order_.empty()) return std::nullopt;
  return order_.front();
}

void RestoreQueue::Begun(const ObjectId& id) {
  const auto object = objects_.find(id);
  if (object == objects_.end() || std::exchange(object->second.begun, true)) return;
  std::erase(order_, id);
}

std::vector<RestoreQueue::Answer> RestoreQueue::Ended(const ObjectId& id, const Result<void>& outcome) {
  std::vector<Answer> answers;
  const auto object = objects_.find(id);
  if (object == objects_.end()) return answers;
  const std::vector<uint64_t> numbers = std::move(object->second.requests);
  if (!object->second.begun) std::erase(order_, id);
  objects_.erase(object);
  for (const uint64_t number : numbers) {
    const auto waiting = requests_.find(number);
    if (waiting == requests_.end()) continue;
    if (--waiting->second.left > 0 && outcome) continue;
    answers.push_back({waiting->second.request, outcome});
    Forget(number);
  }
  return answers;
}

// Takes the request out of its objects, too. One that nobody waits for goes.
void RestoreQueue::Forget(uint64_t number) {
  const auto waiting = requests_.find(number);
  const auto of_client = of_client_.find(waiting->second.request.client);
  if (--of_client->second == 0) of_client_.erase(of_client);
  const bool has_objects = waiting->second.left > 0;
  requests_.erase(waiting);
  if (!has_objects) return;
  for (auto object = objects_.begin(); object != objects_.end();) {
    std::erase(object->second.requests, number);
    if (!object->second.requests.empty()) {
      ++object;
      continue;
    }
    if (!object->second.begun) std::erase(order_, object->first);
    object = objects_.erase(object);
  }
}

std::vector<RestoreQueue::Request> RestoreQueue::TakeExpired(TimePoint now) {
  std::vector<Request> expired;
  if (now < next_deadline_) return expired;
  next_deadline_ = TimePoint::max();
  for (auto it = requests_.begin(); it != requests_.end();) {
    const uint64_t number = it->first;
    const Request request = it->second.request;
    ++it;
    if (request.deadline > now) {
      next_deadline_ = std::min(next_deadline_, request.deadline);
      continue;
    }
    expired.push_back(request);
    Forget(number);
  }
  return expired;
}

void RestoreQueue::DropClient(uint32_t client) {
  for (auto it = requests_.begin(); it != requests_.end();) {
    const uint64_t number = it->first;
    const bool its = it->second.request.client == client;
    ++it;
    if (its) Forget(number);
  }
}

}  // namespace raylet::store
