using Perennial.Experiments.Stages;

namespace Perennial.Experiments.Tests;

/// <summary>Made-up texts of the continual experiments: what they promise to hold, and that the seed alone decides.</summary>
public class WorldTests
{
    [Fact]
    public void The_domains_pool_has_three_qualities_and_speaks_of_nobody_that_the_world_knows()
    {
        var world = new DomainWorld(3, 20);
        var pool = world.Pool(3000).ToList();
        Assert.Equal(pool, new DomainWorld(3, 20).Pool(3000).ToList());
        Assert.All(Enum.GetValues<PoolQuality>(), quality => Assert.InRange(pool.Count(one => one.Quality == quality), 900, 1100));
        var known = world.GeneralQuestions.Select(one => one.Prompt.Split(' ')[0]).ToHashSet();
        Assert.Equal(20, known.Count);
        Assert.All(world.DomainQuestions, one => Assert.DoesNotContain(one.Prompt.Split(' ')[0], known));
        // Every fact that is asked is told by clean text, word for word.
        var clean = string.Join('\n', pool.Where(one => one.Quality == PoolQuality.Clean).Select(one => one.Text));
        Assert.All(world.DomainQuestions, one => Assert.Contains($"{one.Prompt} {one.Answer}.", clean, StringComparison.Ordinal));
        Assert.Equal(1, DomainWorld.Sources.Sum(source => source.Share), 1e-12);
        Assert.All(DomainWorld.Sources, source => Assert.Equal(5, world.General(source.Name, 5).Count(text => text.Length > 10)));
    }

    [Fact]
    public void The_second_language_has_no_word_of_the_first_and_wrong_answers_are_as_many_as_asked_for()
    {
        var world = new TopicWorld(3);
        HashSet<string> Words(IEnumerable<string> texts) => [.. texts.SelectMany(text => text.Split(' ')).Where(word => char.IsLetter(word[0]))];
        var old = Words(Enumerable.Range(0, 500).Select(i => world.Old(1, i)));
        var other = Words(Enumerable.Range(0, 500).Select(i => world.New(1, i, i % TopicWorld.Topics)));
        Assert.Empty(old.Intersect(other));
        var right = world.Questions(asked: true).Concat(world.Questions(asked: false)).ToDictionary(one => one.Prompt, one => one.Answer);
        Assert.Equal(world.Questions(true).Count(), world.Questions(false).Count());
        var asked = Enumerable.Range(0, 4000).Select(i => world.Asked(i, 0.3)).ToList();
        Assert.InRange(asked.Average(one => right[one.Prompt] == one.Answer ? 0.0 : 1), 0.27, 0.33);
        Assert.All(asked.Select(one => one.Prompt).Distinct(), prompt => Assert.Contains(prompt, world.Questions(true).Select(one => one.Prompt)));
    }

    [Fact]
    public void Exercises_of_skills_have_one_right_answer_and_training_has_none_of_their_prose()
    {
        var prose = string.Join("\n\n", Enumerable.Range(0, 300).Select(i => $"Paragraph {i}: the sailor{i % 7} was glad of the harbour and they were at home, and she is here and he has seen the lighthouse beyond the village{i} in the evening."));
        var world = new SkillWorld(3, prose, prose);
        var exercises = world.Exercises(30).ToList();
        var tasks = SkillWorld.Domains.SelectMany(domain => domain.Tasks).ToList();
        Assert.Equal(tasks, exercises.Select(one => one.Group).Distinct());
        Assert.All(exercises, one => Assert.DoesNotContain(one.Answer, one.Choices));
        Assert.All(exercises, one => Assert.Equal(one.Choices.Count, one.Choices.Distinct().Count()));
        Assert.All(exercises.GroupBy(one => one.Group), group => Assert.True(group.Count(one => 1.0 / (1 + one.Choices.Count) > SkillWorld.Chance(group.Key) + 1e-9) <= group.Count() / 10, group.Key));
        var read = world.Documents("prose", 0).ToList();
        Assert.Equal(250, read.Count);
        Assert.DoesNotContain(read, text => text.Contains("Paragraph 260:", StringComparison.Ordinal));
        foreach (var one in exercises.Where(one => one.Group == "sorting")) Assert.Equal(one.Answer.Trim().Split(' ').Order(StringComparer.Ordinal), one.Answer.Trim().Split(' '));
    }
}
