#include "client/ray/cluster/placement_groups.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>

#include <ray/api/exceptions.h>

#include "base/strings.h"
#include "client/ray/cluster/failure.h"
#include "client/ray/cluster/task_submission.h"
#include "fbs/resource_units.h"
#include "fbs/text_bounds.h"

namespace raylet::client {
namespace {

using ray::PlacementGroupState;
using ray::PlacementStrategy;

wire::PlacementStrategy ToWire(PlacementStrategy strategy) {
  switch (strategy) {
    case PlacementStrategy::SPREAD: return wire::PlacementStrategy::Spread;
    case PlacementStrategy::STRICT_PACK: return wire::PlacementStrategy::StrictPack;
    case PlacementStrategy::STRICT_SPREAD: return wire::PlacementStrategy::StrictSpread;
    default: return wire::PlacementStrategy::Pack;
  }
}

PlacementStrategy StrategyOf(wire::PlacementStrategy strategy) {
  switch (strategy) {
    case wire::PlacementStrategy::Pack: return PlacementStrategy::PACK;
    case wire::PlacementStrategy::Spread: return PlacementStrategy::SPREAD;
    case wire::PlacementStrategy::StrictPack: return PlacementStrategy::STRICT_PACK;
    case wire::PlacementStrategy::StrictSpread: return PlacementStrategy::STRICT_SPREAD;
  }
  return PlacementStrategy::UNRECOGNIZED;
}

PlacementGroupState StateOf(wire::PlacementGroupState state) {
  switch (state) {
    case wire::PlacementGroupState::Pending: return PlacementGroupState::PENDING;
    case wire::PlacementGroupState::Prepared: return PlacementGroupState::PREPARED;
    case wire::PlacementGroupState::Created: return PlacementGroupState::CREATED;
    case wire::PlacementGroupState::Removed: return PlacementGroupState::REMOVED;
    case wire::PlacementGroupState::Rescheduling: return PlacementGroupState::RESCHEDULING;
    case wire::PlacementGroupState::Unrecognized: break;
  }
  return PlacementGroupState::UNRECOGNIZED;
}

ray::PlacementGroup GroupOf(const wire::PlacementGroupT& group) {
  ray::PlacementGroupCreationOptions options{group.name, {}, StrategyOf(group.strategy)};
  for (const auto& bundle : group.bundles) {
    auto& resources = options.bundles.emplace_back();
    for (const auto& resource : bundle->resources)
      resources[resource->name] = AmountOf(resource->name, resource->units);
  }
  return {FromWire<PlacementGroupId>(*group.id).binary(), std::move(options), StateOf(group.state)};
}

std::unique_ptr<wire::Id20> IdPointer(const std::string& id) {
  return std::make_unique<wire::Id20>(raylet::ToWire(PlacementGroupId::FromBinary(id)));
}

void ThrowUnless(const Result<void>& outcome) {
  if (!outcome) throw ray::internal::RayException(outcome.error().message);
}

// The raylet's answer to one Await; shared with the io thread.
struct Answer {
  Result<void> outcome;
  std::atomic<bool> there{false};  // published behind outcome (release), read by the waiter (acquire)
};

}  // namespace

std::string PlacementGroups::Create(const ray::PlacementGroupCreationOptions& options) {
  ThrowUnless(CheckName("a placement group's name", options.name));
  wire::PlacementGroupT group;
  const auto id = link_.NewPlacementGroup();
  group.id = std::make_unique<wire::Id20>(raylet::ToWire(id));
  group.name = options.name;
  group.strategy = ToWire(options.strategy);
  for (const auto& resources : options.bundles) {
    auto& bundle = *group.bundles.emplace_back(std::make_unique<wire::BundleT>());
    bundle.index = static_cast<uint32_t>(group.bundles.size() - 1);
    FillResources({resources.begin(), resources.end()}, /*cpus=*/0, bundle.resources);
  }
  // Only a name can be taken. Without one nobody waits for the answer, and Await tells what the raylet refused.
  const auto body = Encode(group);
  if (options.name.empty())
    ThrowUnless(link_.SendEncoded(wire::RayletMessage::CreatePlacementGroup, body));
  else
    ThrowUnless(ParseStatusReply(link_.Call(wire::RayletMessage::CreatePlacementGroup, body)));
  return id.binary();
}

void PlacementGroups::Remove(const std::string& id) {
  wire::PlacementGroupRequestT request;
  request.group = IdPointer(id);
  ThrowUnless(link_.Send(wire::RayletMessage::RemovePlacementGroup, request));
}

bool PlacementGroups::Await(const std::string& id, int timeout_seconds) {
  wire::AwaitPlacementGroupRequestT request;
  request.group = IdPointer(id);
  request.timeout_ms = timeout_seconds < 0 ? ~uint64_t{0} : static_cast<uint64_t>(timeout_seconds) * 1000;
  const auto answer = std::make_shared<Answer>();
  link_.Request(wire::RayletMessage::AwaitPlacementGroup, Encode(request),
                [answer](Result<Frame> reply, std::vector<UniqueFd>&) {
                  answer->outcome = ParseStatusReply(reply);
                  answer->there.store(true, std::memory_order_release);
                });
  // The raylet answers when the time is up. Beyond that it is stopped.
  const Deadline deadline = timeout_seconds < 0
                                ? Deadline::Never()
                                : Deadline::After(std::chrono::seconds(timeout_seconds) + link_.patience());
  if (!pump_.WaitUntil(deadline, [&] { return answer->there.load(std::memory_order_acquire); }))
    throw ray::internal::RayException(
        "the raylet does not answer whether the placement group is created: see whether it is stopped");
  if (answer->outcome) return true;
  if (answer->outcome.error().code == ErrorCode::kTimedOut) return false;
  throw ray::internal::RayException(answer->outcome.error().message);
}

std::vector<ray::PlacementGroup> PlacementGroups::Find(const std::string& id, const std::string& name) {
  wire::FindPlacementGroupsRequestT request;
  if (!id.empty()) request.group = IdPointer(id);
  request.name = name;
  const auto frame = link_.Call(wire::RayletMessage::FindPlacementGroups, Encode(request));
  if (!frame) Throw(frame.error());
  const auto reply = Parse<wire::FindPlacementGroupsReplyT>(frame->body);
  if (!reply) Throw(reply.error());
  std::vector<ray::PlacementGroup> groups;
  for (const auto& group : reply->groups) groups.push_back(GroupOf(*group));
  return groups;
}

}  // namespace raylet::client
