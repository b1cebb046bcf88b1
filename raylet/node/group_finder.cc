#include "raylet/node/group_finder.h"

#include <algorithm>

#include "base/strings.h"
#include "raylet/node/group_messages.h"

namespace raylet {
namespace {

constexpr size_t kWaitsMax = 10'000;
constexpr size_t kSearchesMax = 1'000;
constexpr uint64_t kHomeAnswersMs = 20'000;  // or it is dead before
constexpr uint64_t kTimeoutMsMax = uint64_t{1'000} * 3600 * 24 * 365;
constexpr std::chrono::milliseconds kSearchMax{5'000};

}  // namespace

GroupFinder::GroupFinder(Groups& groups, const Services& services)
    : groups_(groups),
      loop_(services.loop),
      post_(services.post),
      door_(services.door),
      jobs_(services.jobs),
      decisions_(services.decisions) {}

// ---- messages of processes

Result<void> GroupFinder::OnFind(ProcessSession& session, const Frame& frame) {
  const auto request = Parse<wire::FindPlacementGroupsRequestT>(frame.body);
  if (!request) return Fail(request.error());
  if (session.IsBehind())
    return Fail(ErrorCode::kSlowConsumer, "it asks for placement groups again and again, and reads no answer");
  const auto& identity = *session.identity;
  const Asker asker{identity.process, frame.header.request_id};
  if (request->group) {
    const auto group = CheckGroupId(request->group.get());
    return group ? WaitFor(asker, *group, /*until_created=*/false, kHomeAnswersMs) : Fail(group.error());
  }
  wire::FindGroupsRequestT question;
  question.name = request->name;
  question.group_namespace = jobs_.Get(identity.job).actor_namespace;
  const PlacementGroup* const own =
      question.name.empty() ? nullptr
                            : groups_.at_home().FindName(question.group_namespace, question.name, /*to_create=*/false);
  if (own != nullptr) {
    Reply(asker, {own});
    return {};
  }
  const bool all = question.name.empty();
  SearchElsewhere(question, [this, asker, all](Search& search) {
    auto groups = all ? groups_.at_home().All() : std::vector<const PlacementGroup*>();
    for (const PlacementGroup& group : search.found) groups.push_back(&group);
    Reply(asker, groups);
  });
  return {};
}

Result<void> GroupFinder::OnAwait(ProcessSession& session, const Frame& frame) {
  const auto request = Parse<wire::AwaitPlacementGroupRequestT>(frame.body);
  if (!request) return Fail(request.error());
  const auto group = CheckGroupId(request->group.get());
  if (!group) return Fail(group.error());
  return WaitFor({session.identity->process, frame.header.request_id}, *group, /*until_created=*/true,
                 request->timeout_ms);
}

void GroupFinder::Reply(const Asker& asker, const std::vector<const PlacementGroup*>& groups) {
  ProcessSession* const session = door_.SessionOf(asker.first);
  if (session == nullptr) return;
  wire::FindPlacementGroupsReplyT reply;
  reply.groups = ToWire(groups);
  session->Send(wire::RayletMessage::FindPlacementGroupsReply, asker.second, reply);
}

void GroupFinder::ReplyStatus(const Asker& asker, const Result<void>& outcome) {
  if (ProcessSession* const session = door_.SessionOf(asker.first))
    session->SendBytes(wire::RayletMessage::StatusReply, asker.second, EncodeStatusReply(outcome));
}

// ---- waiting for one group

bool GroupFinder::Answer(const Asker& asker, const Wait& wait, const PlacementGroup* group) {
  if (!wait.until_created) {
    const bool known = group != nullptr && group->state != GroupState::Unrecognized;
    Reply(asker, known ? std::vector<const PlacementGroup*>{group} : std::vector<const PlacementGroup*>());
    return true;
  }
  if (group != nullptr && group->state == GroupState::Created) {
    ReplyStatus(asker, {});
    return true;
  }
  const bool gone = group == nullptr || group->state == GroupState::Removed || group->state == GroupState::Unrecognized;
  if (gone)
    ReplyStatus(asker, Fail(ErrorCode::kNotFound,
                            group == nullptr || group->state == GroupState::Unrecognized
                                ? StrCat("there is no placement group ", wait.group.hex())
                                : StrCat("placement group ", wait.group.hex(), " is no more: ", group->reason)));
  return gone;
}

Result<void> GroupFinder::WaitFor(const Asker& asker, const PlacementGroupId& id, bool until_created,
                                  uint64_t timeout_ms) {
  if (waits_.contains(asker)) return Fail(ErrorCode::kProtocolError, "a process waits twice under one number");
  const PlacementGroup* const group = groups_.Know(id);
  const bool later = group == nullptr && groups_.WillKnow(id);
  Wait wait{id, until_created, {}};
  if (!later && Answer(asker, wait, group)) return {};
  if (timeout_ms == 0 || waits_.size() >= kWaitsMax) {
    ReplyStatus(asker, timeout_ms == 0
                           ? Fail(ErrorCode::kTimedOut, "the placement group is not created yet")
                           : Fail(ErrorCode::kFull, StrCat(kWaitsMax, " threads wait for placement groups")));
    return {};
  }
  wait.end = Timer(loop_, std::chrono::milliseconds(std::min(timeout_ms, kTimeoutMsMax)), {}, [this, asker] {
    const auto over = waits_.extract(asker);
    if (over.mapped().until_created)
      ReplyStatus(asker, Fail(ErrorCode::kTimedOut, "the placement group was not created in time"));
    else
      Reply(asker, {});
  });
  waits_.emplace(asker, std::move(wait));
  return {};
}

void GroupFinder::Changed(const PlacementGroup& group) {
  std::erase_if(waits_, [&](const auto& each) {
    return each.second.group == group.id && Answer(each.first, each.second, &group);
  });
}

void GroupFinder::ProcessesGone(const ProcessSet& processes) {
  std::erase_if(waits_, [&](const auto& each) { return processes.contains(each.first.first); });
}

// ---- asking all other machines

void GroupFinder::SearchElsewhere(const wire::FindGroupsRequestT& request, std::function<void(Search&)> done) {
  const uint64_t number = next_search_++;
  Search& search = searches_[number];
  search.done = std::move(done);
  if (request.creating) search.creating = FromWire<PlacementGroupId>(*request.creating);
  if (searches_.size() <= kSearchesMax)
    for (const auto& [id, node] : post_.view().nodes())
      if (node.state != NodeState::kDead) search.unanswered.insert(id);
  if (search.unanswered.empty()) return EndIfAnswered(number);
  wire::FindGroupsRequestT question = request;
  question.number = number;
  const Bytes body = Encode(question);
  for (const NodeId& node : search.unanswered) post_.Tell(node, wire::GroupMessage::FindGroups, body);
  search.end = Timer(loop_, kSearchMax, {}, [this, number] {
    auto late = searches_.extract(number);
    late.mapped().done(late.mapped());
    decisions_.CarryOut();
  });
}

void GroupFinder::EndIfAnswered(uint64_t number) {
  const auto found = searches_.find(number);
  if (found == searches_.end() || !found->second.unanswered.empty()) return;
  auto answered = searches_.extract(found);
  answered.mapped().done(answered.mapped());
}

void GroupFinder::AskForName(const PlacementGroup& group, std::function<void(const Result<void>&)> answer) {
  if (searches_.size() >= kSearchesMax)
    return answer(Fail(ErrorCode::kFull, StrCat(kSearchesMax, " questions about placement groups are under way here, ",
                                                "which is the limit: try again")));
  wire::FindGroupsRequestT question;
  question.name = group.name;
  question.group_namespace = group.group_namespace;
  question.creating = std::make_unique<wire::Id20>(ToWire(group.id));
  SearchElsewhere(question, [this, name = group.name, answer = std::move(answer)](const Search& search) {
    if (!search.found.empty())
      return answer(Fail(ErrorCode::kAlreadyExists, StrCat("a placement group named ", name, " exists already")));
    if (!search.unanswered.empty())
      return answer(Fail(ErrorCode::kUnavailable,
                         StrCat("the machine at ", post_.AddressOf(*search.unanswered.begin()),
                                " does not answer whether it has a placement group named ", name, ": try again")));
    answer({});
  });
}

// Another machine is about to give its name to a group with a smaller id.
void GroupFinder::GiveNameUp(const PlacementGroup& loser) {
  for (auto& [number, search] : searches_) {
    if (search.creating != loser.id) continue;
    search.found.push_back(loser);  // in place of the other one: there is a group of the name
    search.unanswered.clear();
    return EndIfAnswered(number);
  }
}

Result<void> GroupFinder::OnFindGroups(const NodeId& node, const Frame& frame) {
  const auto request = Parse<wire::FindGroupsRequestT>(frame.body);
  if (!request) return Fail(request.error());
  const GroupDirectory& at_home = groups_.at_home();
  if (request->creating) {
    const auto rival = CheckGroupId(request->creating.get());
    if (!rival) return Fail(rival.error());
    RAYLET_RETURN_IF_ERROR(post_.CheckSpeaksFor(node, CreatorOf(*rival)));
    if (const auto* loser = at_home.YieldingTo(*rival, request->group_namespace, request->name)) GiveNameUp(*loser);
  }
  std::vector<const PlacementGroup*> groups;
  const bool to_create = request->creating != nullptr;
  if (request->name.empty())
    groups = at_home.All();
  else if (const auto* found = at_home.FindName(request->group_namespace, request->name, to_create))
    groups.push_back(found);
  wire::GroupsFoundNoticeT notice;
  notice.number = request->number;
  notice.groups = ToWire(groups);
  post_.Tell(node, wire::GroupMessage::GroupsFound, Encode(notice));
  return {};
}

Result<void> GroupFinder::OnGroupsFound(const NodeId& node, const Frame& frame) {
  const auto notice = Parse<wire::GroupsFoundNoticeT>(frame.body);
  if (!notice) return Fail(notice.error());
  std::vector<PlacementGroup> groups;
  for (const auto& message : notice->groups) {
    auto group = FromWire(*message);
    if (!group) return Fail(group.error());
    RAYLET_RETURN_IF_ERROR(post_.CheckSpeaksFor(node, CreatorOf(group->id)));
    groups.push_back(*std::move(group));
  }
  const auto search = searches_.find(notice->number);
  if (search == searches_.end() || search->second.unanswered.erase(node) == 0) return {};  // it is late
  auto& found = search->second.found;
  found.insert(found.end(), std::make_move_iterator(groups.begin()), std::make_move_iterator(groups.end()));
  EndIfAnswered(notice->number);
  return {};
}

void GroupFinder::MachineLost(const NodeId& node) {
  std::vector<uint64_t> asked;
  for (auto& [number, search] : searches_)
    if (search.unanswered.erase(node) > 0) asked.push_back(number);
  for (const uint64_t number : asked) EndIfAnswered(number);
}

}  // namespace raylet
