#include "raylet/actors/dead_actors.h"

#include <string>
#include <utility>

#include "base/check.h"

namespace raylet {
namespace {

void Shorten(std::string& text) {
  if (text.size() <= kDeadActorTextMax) return;
  size_t end = kDeadActorTextMax;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;  // not within a character
  text.resize(end);
  text += "…";
}

}  // namespace

void DeadActors::Add(const ActorId& id, const wire::FailureT& failure) {
  wire::FailureT kept = failure;
  for (std::string* const text : {&kept.message, &kept.function, &kept.exception_type, &kept.what, &kept.hint})
    Shorten(*text);
  Bytes record = Encode(kept);
  const size_t bytes = record.size();
  if (!records_.emplace(id, std::move(record)).second) return;
  order_.push_back(id);
  bytes_ += bytes;
  while (order_.size() > kDeadActorsMax || bytes_ > kDeadActorBytesMax) {
    const auto oldest = records_.find(order_.front());
    bytes_ -= oldest->second.size();
    records_.erase(oldest);
    order_.pop_front();
  }
}

std::optional<wire::FailureT> DeadActors::WhyDead(const ActorId& id) const {
  const auto found = records_.find(id);
  if (found == records_.end()) return std::nullopt;
  auto failure = Parse<wire::FailureT>(found->second);
  RAYLET_CHECK(failure.has_value(), "the record of actor ", id.hex(), " was written here and cannot be read");
  return *std::move(failure);
}

}  // namespace raylet
