#include "raylet/node/group_messages.h"

#include <algorithm>

#include "base/strings.h"
#include "fbs/text_bounds.h"
#include "raylet/node/inbound.h"

namespace raylet {
namespace {

constexpr size_t kListedBundlesMax = 20'000;  // in one message; a group counts as one more
constexpr size_t kReasonBytesMax = 4096;

Result<ResourceSet> ResourcesIn(const wire::BundleT& bundle) {
  ResourceSet resources;
  for (const auto& resource : bundle.resources) {
    RAYLET_RETURN_IF_ERROR(CheckBundleResource(resource->name));
    RAYLET_RETURN_IF_ERROR(resources.Add(resource->name, resource->units));
  }
  if (resources.empty()) return Fail(ErrorCode::kInvalid, "a bundle of a placement group asks for nothing");
  return resources;
}

Result<void> CheckSoundness(const wire::PlacementGroupT& message, PlacementGroup& group) {
  RAYLET_RETURN_IF_ERROR(CheckName("a placement group's name", message.name));
  if (message.bundles.empty()) return Fail(ErrorCode::kInvalid, "a placement group needs at least one bundle");
  if (message.bundles.size() > kBundlesMax)
    return Fail(ErrorCode::kInvalid,
                StrCat("a placement group has ", message.bundles.size(), " bundles and the limit is ", kBundlesMax));
  for (const auto& bundle : message.bundles) {
    auto resources = ResourcesIn(*bundle);
    if (!resources) {
      group.bundles.clear();
      return Fail(resources.error());
    }
    group.bundles.push_back(*std::move(resources));
  }
  return {};
}

}  // namespace

Result<PlacementGroupId> CheckGroupId(const wire::Id20* id) {
  if (id == nullptr || FromWire<PlacementGroupId>(*id).IsNil())
    return Nonsense("a message about a placement group names none");
  return FromWire<PlacementGroupId>(*id);
}

wire::PlacementGroupT ToWire(const PlacementGroup& group) {
  wire::PlacementGroupT message;
  message.id = std::make_unique<wire::Id20>(ToWire(group.id));
  message.name = group.name;
  message.strategy = group.strategy;
  message.state = group.state;
  message.reason = group.reason;
  message.group_namespace = group.group_namespace;
  std::vector<Bundle> bundles;
  for (uint32_t i = 0; i < group.bundles.size(); ++i) bundles.push_back({i, group.bundles[i]});
  message.bundles = ToWire(bundles);
  for (size_t i = 0; i < group.places.size(); ++i)
    if (!group.places[i].IsNil()) message.bundles[i]->node = std::make_unique<wire::Id20>(ToWire(group.places[i]));
  return message;
}

Result<PlacementGroup> FromWire(const wire::PlacementGroupT& message) {
  const auto id = CheckGroupId(message.id.get());
  if (!id) return Fail(id.error());
  if (message.strategy > wire::PlacementStrategy::MAX || message.state > wire::PlacementGroupState::MAX ||
      message.bundles.size() > kBundlesMax || message.name.size() > kNameBytesMax ||
      message.group_namespace.size() > kNameBytesMax || message.reason.size() > kReasonBytesMax)
    return Nonsense(StrCat("what a machine tells of placement group ", id->hex(), " makes no sense"));
  PlacementGroup group;
  group.id = *id;
  group.name = message.name;
  group.group_namespace = message.group_namespace;
  group.strategy = message.strategy;
  group.state = message.state;
  group.reason = message.reason;
  for (const auto& bundle : message.bundles) {
    auto resources = ResourcesIn(*bundle);
    if (!resources) return Nonsense(resources.error().message);
    group.bundles.push_back(*std::move(resources));
    group.places.push_back(bundle->node ? raylet::FromWire<NodeId>(*bundle->node) : NodeId());
  }
  return group;
}

Result<WantedGroup> ParseWantedGroup(const wire::PlacementGroupT& message) {
  const auto id = CheckGroupId(message.id.get());
  if (!id) return Fail(id.error());
  if (message.strategy > wire::PlacementStrategy::MAX)
    return Nonsense(StrCat("a placement group has the unknown strategy ", static_cast<int>(message.strategy)));
  WantedGroup wanted;
  wanted.group.id = *id;
  wanted.group.strategy = message.strategy;
  wanted.sound = CheckSoundness(message, wanted.group);
  if (wanted.sound) wanted.group.name = message.name;
  return wanted;
}

std::vector<std::unique_ptr<wire::BundleT>> ToWire(const std::vector<Bundle>& bundles) {
  std::vector<std::unique_ptr<wire::BundleT>> messages;
  for (const Bundle& bundle : bundles) {
    auto& message = *messages.emplace_back(std::make_unique<wire::BundleT>());
    message.index = bundle.index;
    for (const auto& amount : bundle.resources.amounts()) {
      auto& resource = *message.resources.emplace_back(std::make_unique<wire::ResourceT>());
      resource.name = amount.name;
      resource.units = amount.units;
    }
  }
  return messages;
}

Result<std::vector<Bundle>> FromWire(const std::vector<std::unique_ptr<wire::BundleT>>& messages) {
  if (messages.empty() || messages.size() > kBundlesMax)
    return Nonsense(StrCat("a machine is to reserve ", messages.size(), " bundles of a placement group"));
  std::vector<Bundle> bundles;
  for (const auto& message : messages) {
    auto resources = ResourcesIn(*message);
    if (!resources) return Nonsense(resources.error().message);
    if (message->index >= kBundlesMax || (!bundles.empty() && bundles.back().index >= message->index))
      return Nonsense("the bundles that a machine is to reserve are not in order");
    bundles.push_back({message->index, *std::move(resources)});
  }
  return bundles;
}

std::vector<std::unique_ptr<wire::PlacementGroupT>> ToWire(std::vector<const PlacementGroup*> groups) {
  std::stable_partition(groups.begin(), groups.end(),
                        [](const PlacementGroup* group) { return group->state != GroupState::Removed; });
  std::vector<std::unique_ptr<wire::PlacementGroupT>> messages;
  size_t bundles = 0;
  for (const PlacementGroup* const group : groups) {
    bundles += 1 + group->bundles.size();
    if (bundles > kListedBundlesMax) break;
    messages.push_back(std::make_unique<wire::PlacementGroupT>(ToWire(*group)));
  }
  return messages;
}

}  // namespace raylet
