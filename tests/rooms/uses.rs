//! Which file of `src` uses which, from the code itself: every path is followed through imports and re-exports to the file
//! that defines what it names.
//!
//! A path counts where it is used. A re-export alone is no use: `mod.rs` may list what its files offer and be imported by
//! them all the same, as long as it uses nothing of theirs.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    path::{Path, PathBuf},
};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

/// Edges between files, each with a path that makes it, as it is written.
pub type Edges = BTreeMap<(String, String), String>;

type Module = Vec<String>;

/// One file of the crate.
#[derive(Default)]
struct File {
    /// Names that `use` brings in, with the segments that were written.
    imports: HashMap<String, Vec<String>>,
    /// Modules of which everything is brought in.
    globs: Vec<Vec<String>>,
    /// What it defines.
    items: BTreeSet<String>,
    /// Every path that it uses, as written.
    paths: BTreeSet<Vec<String>>,
}

/// The crate.
#[derive(Default)]
pub struct Crate {
    files: BTreeMap<Module, (String, File)>,
}

impl Crate {
    /// Reads all files below `src`, tests left out.
    pub fn read(src: &Path) -> Self {
        let mut paths = Vec::new();
        list(src, &mut paths);
        let mut out = Self::default();
        let mut tests = BTreeSet::new();
        for path in paths {
            let name = path.strip_prefix(src).unwrap().display().to_string();
            let module: Module = name
                .trim_end_matches(".rs")
                .split('/')
                .filter(|part| !["lib", "mod"].contains(part))
                .map(str::to_owned)
                .collect();
            let code = syn::parse_file(&fs::read_to_string(&path).unwrap()).unwrap();
            let mut file = File::default();
            let folder: Vec<String> = name.split('/').map(str::to_owned).collect();
            let mut reader = Reader {
                file: &mut file,
                module: &module,
                folder: &folder[..folder.len() - 1],
                tests: &mut tests,
            };
            reader.visit_file(&code);
            out.files.insert(module, (name, file));
        }
        out.files.retain(|module, _| !tests.contains(module));
        out
    }

    /// Its files, those of tests alone left out.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.files.values().map(|(name, _)| name.as_str())
    }

    /// Who uses whom.
    pub fn edges(&self) -> Edges {
        let mut out = Edges::new();
        for (module, (name, file)) in &self.files {
            for path in &file.paths {
                if let Some(target) = self.resolve(module, path, 0)
                    && target != *module
                {
                    let to = self.files[&target].0.clone();
                    out.entry((name.clone(), to)).or_insert_with(|| path.join("::"));
                }
            }
        }
        out
    }

    /// The module that defines what a path in this module names; `None` for what is not ours, and for a mere module.
    fn resolve(&self, from: &Module, path: &[String], depth: usize) -> Option<Module> {
        if depth > 16 {
            return None;
        }
        let (first, rest) = path.split_first()?;
        let start = match first.as_str() {
            "crate" | "elb_doctor" => Vec::new(),
            "self" => from.clone(),
            "super" => from.split_last()?.1.to_vec(),
            name => {
                let file = &self.files.get(from)?.1;
                if let Some(import) = file.imports.get(name) {
                    let whole = [import.as_slice(), rest].concat();
                    // `use x::x` names another x than itself.
                    return (whole != path).then(|| self.resolve(from, &whole, depth + 1))?;
                }
                return self.follow(from.clone(), path, depth);
            }
        };
        self.follow(start, rest, depth)
    }

    /// From a module on, name by name.
    fn follow(&self, mut module: Module, path: &[String], depth: usize) -> Option<Module> {
        let mut rest = path;
        loop {
            let (name, after) = rest.split_first()?;
            if name == "super" {
                module.pop()?;
                rest = after;
                continue;
            }
            let child = [module.as_slice(), std::slice::from_ref(name)].concat();
            if self.files.contains_key(&child) {
                module = child;
                rest = after;
                continue;
            }
            let file = &self.files.get(&module)?.1;
            if file.items.contains(name) {
                return Some(module);
            }
            if let Some(import) = file.imports.get(name) {
                let whole = [import.as_slice(), after].concat();
                return (whole != rest).then(|| self.resolve(&module, &whole, depth + 1))?;
            }
            for glob in &file.globs {
                let whole = [glob.as_slice(), rest].concat();
                if let Some(found) = self.resolve(&module, &whole, depth + 1) {
                    return Some(found);
                }
            }
            // Made by a macro, or the name of a local, of a generic or of the prelude.
            let made = rest.len() < path.len() || depth > 0;
            return (made || path.len() > 1 && self.files.contains_key(&module)).then_some(module);
        }
    }
}

fn list(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            list(&path, out);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            out.push(path);
        }
    }
    out.sort();
}

struct Reader<'a> {
    file: &'a mut File,
    module: &'a Module,
    /// The names of the folders that the file is in.
    folder: &'a [String],
    tests: &'a mut BTreeSet<Module>,
}

impl Reader<'_> {
    fn tree(&mut self, tree: &syn::UseTree, prefix: &[String], exported: bool) {
        let with = |name: String| [prefix, &[name]].concat();
        match tree {
            syn::UseTree::Path(path) => self.tree(&path.tree, &with(path.ident.to_string()), exported),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.tree(tree, prefix, exported)),
            syn::UseTree::Glob(_) => {
                if !exported {
                    self.file.paths.insert(prefix.to_vec());
                }
                self.file.globs.push(prefix.to_vec());
            }
            syn::UseTree::Name(name) if name.ident == "self" => {
                let last = prefix.last().cloned().unwrap_or_default();
                self.import(last, prefix.to_vec(), exported);
            }
            syn::UseTree::Name(name) => self.import(name.ident.to_string(), with(name.ident.to_string()), exported),
            syn::UseTree::Rename(rename) => {
                self.import(rename.rename.to_string(), with(rename.ident.to_string()), exported);
            }
        }
    }

    fn import(&mut self, name: String, path: Vec<String>, exported: bool) {
        if !exported {
            self.file.paths.insert(path.clone());
        }
        if name != "_" {
            self.file.imports.insert(name, path);
        }
    }

    /// Code in a macro is no tree yet: every run of names and `::` is a path.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut joined = false;
        let mut colons = 0;
        let mut after_dot = false;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if !joined {
                        self.path(std::mem::take(&mut path));
                    }
                    if !after_dot {
                        path.push(ident.to_string());
                    }
                    (joined, colons, after_dot) = (false, 0, false);
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => {
                    colons += 1;
                    joined = colons == 2 && !path.is_empty();
                }
                // `$crate::x`.
                TokenTree::Punct(punct) if punct.as_char() == '$' => {}
                TokenTree::Punct(punct) => {
                    self.path(std::mem::take(&mut path));
                    (joined, colons) = (false, 0);
                    after_dot = punct.as_char() == '.';
                }
                TokenTree::Group(group) => {
                    self.path(std::mem::take(&mut path));
                    (joined, colons, after_dot) = (false, 0, false);
                    self.tokens(group.stream());
                }
                TokenTree::Literal(literal) => {
                    self.path(std::mem::take(&mut path));
                    (joined, colons, after_dot) = (false, 0, false);
                    self.literal(&literal.to_string());
                }
            }
        }
        self.path(path);
    }

    /// `#[serde(default = "super::some_function")]` is a path, too.
    fn literal(&mut self, text: &str) {
        let path: Vec<String> = text.trim_matches('"').split("::").map(str::to_owned).collect();
        let name = |part: &String| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_');
        if path.len() > 1 && path.iter().all(name) {
            self.path(path);
        }
    }

    /// The module of the file that a `mod` item names; a `#[path]` counts from the folder of this file.
    fn file_of(&self, item: &syn::ItemMod) -> Module {
        let path = item.attrs.iter().find_map(|attribute| match &attribute.meta {
            syn::Meta::NameValue(pair) if pair.path.is_ident("path") => match &pair.value {
                syn::Expr::Lit(literal) => match &literal.lit {
                    syn::Lit::Str(path) => Some(path.value()),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        });
        match path {
            None => [self.module.as_slice(), &[item.ident.to_string()]].concat(),
            Some(path) => {
                let name = path.trim_end_matches(".rs").to_owned();
                [self.folder, &[name]].concat()
            }
        }
    }

    fn path(&mut self, path: Vec<String>) {
        if !path.is_empty() {
            self.file.paths.insert(path);
        }
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && matches!(&attribute.meta, syn::Meta::List(list) if list.tokens.to_string() == "test")
    })
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let (attributes, name) = match item {
            syn::Item::Const(item) => (&item.attrs, Some(&item.ident)),
            syn::Item::Enum(item) => (&item.attrs, Some(&item.ident)),
            syn::Item::Fn(item) => (&item.attrs, Some(&item.sig.ident)),
            syn::Item::Static(item) => (&item.attrs, Some(&item.ident)),
            syn::Item::Struct(item) => (&item.attrs, Some(&item.ident)),
            syn::Item::Trait(item) => (&item.attrs, Some(&item.ident)),
            syn::Item::Type(item) => (&item.attrs, Some(&item.ident)),
            syn::Item::Macro(item) => (&item.attrs, item.ident.as_ref()),
            syn::Item::Mod(item) => (&item.attrs, None),
            syn::Item::Impl(item) => (&item.attrs, None),
            syn::Item::Use(item) => (&item.attrs, None),
            _ => panic!("{:?} has an item that this test does not know", self.module),
        };
        if is_test(attributes) {
            if let syn::Item::Mod(item) = item {
                self.tests.insert(self.file_of(item));
            }
            return;
        }
        self.file.items.extend(name.map(ToString::to_string));
        visit::visit_item(self, item);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        if !is_test(&function.attrs) {
            visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let exported = !matches!(item.vis, syn::Visibility::Inherited);
        self.tree(&item.tree, &[], exported);
    }

    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.path(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        visit::visit_macro(self, item);
        self.tokens(item.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        if let syn::Meta::List(list) = &attribute.meta {
            self.tokens(list.tokens.clone());
        }
    }
}

/// The groups of nodes that reach each other, of more than one node.
pub fn circles(edges: &Edges) -> Vec<Vec<String>> {
    let mut next: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (from, to) in edges.keys() {
        next.entry(from).or_default().push(to);
    }
    let reach = |start: &str| {
        let mut seen = BTreeSet::new();
        let mut open = vec![start];
        while let Some(node) = open.pop() {
            for to in next.get(node).into_iter().flatten() {
                if seen.insert(*to) {
                    open.push(to);
                }
            }
        }
        seen
    };
    let reached: BTreeMap<&str, BTreeSet<&str>> = next.keys().map(|node| (*node, reach(node))).collect();
    let mut out: BTreeSet<Vec<String>> = BTreeSet::new();
    for (node, reachable) in &reached {
        if reachable.contains(node) {
            let circle = reachable
                .iter()
                .filter(|other| reached.get(*other).is_some_and(|back| back.contains(node)));
            out.insert(circle.map(|node| (*node).to_owned()).collect());
        }
    }
    out.into_iter().collect()
}
