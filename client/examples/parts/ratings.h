// Ratings: pairs of a user and an item. They come from MovieLens' ratings.csv or from Debian's packages. There a
// package is a user, and likes the packages that it depends on.
#pragma once

#include <cstdint>
#include <istream>
#include <string>
#include <utility>
#include <vector>

#include "parts/debian_packages.h"

namespace example {

struct Ratings {
  using Pair = std::pair<uint32_t, uint32_t>;  // places in `users` and `items`
  std::vector<std::string> users, items;
  std::vector<Pair> train;
  std::vector<Pair> held_out;  // one of each of some users with three pairs and more
};

// Items that fewer than `users_min` users like are left out.
Ratings RatingsOf(const std::vector<Package>& packages, size_t users_min, uint64_t seed);
// Lines of user, item, rating and time, below a line with their names. A like is a rating of 4 or more. Throws
// std::runtime_error that names the first line which is none.
Ratings RatingsOfMovieLens(std::istream& in, size_t users_min, uint64_t seed);

}  // namespace example
